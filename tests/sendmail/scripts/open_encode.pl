# A letter in ISO-2022-JP through a pipe, as Encode makes it. Arguments: the recipient, and options.
use strict;
use utf8;
use Encode;
my ($to, @options) = @ARGV;
sub jis { encode('iso-2022-jp', shift) }
open(MAIL, '|-', $ENV{SENDMAIL}, '-t', @options) or die "no sendmail: $!";
print MAIL jis("From: 山田商店 <abc\@pobox.example>\nTo: 鈴木様 <$to>\nSubject: ご注文の確認\n");
print MAIL "Content-Type: text/plain; charset=ISO-2022-JP\nContent-Transfer-Encoding: 7bit\n\n";
print MAIL jis("鈴木様\n\nご注文を承りました。\n.\n敬具\n");
close(MAIL) or exit($? >> 8);
