#!/usr/local/bin/perl
# お友達に知らせる。宛先は引数に、カンマと空白を混ぜて。
open(MAIL, "|$ENV{'SENDMAIL'} -fabc\@pobox.example -odb -oem $ENV{'MAILTO'}") || die;
print MAIL "Subject: see this page\n\nhttp://www.shop.example/~abc/\n";
close(MAIL);
exit($? >> 8);
