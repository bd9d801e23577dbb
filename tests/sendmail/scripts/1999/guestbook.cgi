#!/usr/local/bin/perl
# 掲示板の書き込み通知。ヘッダーまで CRLF で、コロンの前に空白がある。オプションは -oi -t。
open(MAIL, "|$ENV{'SENDMAIL'} -oi -t") || die;
foreach (
    'From : abc@pobox.example',
    "To : $ENV{'MAILTO'}",
    'Subject : written',
    'Reply-To: visitor@elsewhere.example',
    '',
    'One line.',
    '.',
    '',
    'The last line.',
) {
    print MAIL "$_\r\n";
}
close(MAIL);
exit($? >> 8);
