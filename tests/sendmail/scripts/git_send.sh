# A patch by git send-email, by the name of a command and by that of a program. Argument: the recipient.
set -e
export GIT_CONFIG_NOSYSTEM=1 HOME="$PWD"
git init -q repository
cd repository
git config user.name 'Taro Abe'
git config user.email abc@pobox.example
echo hello >file
git add file
git commit -q -m 'file: say hello' -m 'Because nobody did.'
git format-patch -q -1 --root
git send-email --quiet --confirm=never --suppress-cc=all --sendmail-cmd="$SENDMAIL" --to="$1" 0001-*.patch
git send-email --quiet --confirm=never --suppress-cc=all --smtp-server="$SENDMAIL" --envelope-sender=auto --to="$1" 0001-*.patch
