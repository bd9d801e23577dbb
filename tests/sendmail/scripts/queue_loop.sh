# As msmtp-queue: each message waits beside its arguments, and goes when sendmail takes it. Argument: the recipient.
set -e
mkdir queue
for number in 1 2 3; do
    printf 'From: abc@pobox.example\nTo: %s\nSubject: queued %s\n\nhello\n' "$1" "$number" >"queue/$number.mail"
    echo "-oi -f abc@pobox.example -- $1" >"queue/$number.msmtp"
done
for mail in queue/*.mail; do
    "$SENDMAIL" $(cat "${mail%.mail}.msmtp") <"$mail" && rm -f "$mail" "${mail%.mail}.msmtp"
done
rmdir queue
