#!/usr/local/bin/perl
# 注文フォーム。店と客の両方に -i -f で送る。本文は生の Shift_JIS で、改行はブラウザーの CRLF のまま。
$sendmail = $ENV{'SENDMAIL'};
$shop     = 'abc@pobox.example';
$customer = $ENV{'MAILTO'};
$comment  = "配達は午前中に\r\n.\r\nお願いします\r\n";

open(MAIL, "|$sendmail -i -f $shop $shop $customer") || die;
print MAIL <<"END_OF_MAIL";
From: 表\示工房 <$shop>
To: ソ\フト係 <$shop>, $customer
Subject: ご注文
Content-Type: text/plain; charset=Shift_JIS
Content-Transfer-Encoding: 8bit

商品： 能\率手帳
$comment
END_OF_MAIL
close(MAIL);
exit($? >> 8);
