#!/usr/local/bin/perl
# 簡易フォームメール。漢字コードは Shift_JIS、変換は jcode.pl の後継 Jcode による。
# 入力された内容を、raw の ISO-2022-JP のヘッダーで $mailto へ送る。
use Jcode;
$sendmail = $ENV{'SENDMAIL'};
$mailto   = $ENV{'MAILTO'};

read(STDIN, $buffer, $ENV{'CONTENT_LENGTH'});
foreach (split(/&/, $buffer)) {
    ($name, $value) = split(/=/, $_);
    $value =~ tr/+/ /;
    $value =~ s/%([a-fA-F0-9][a-fA-F0-9])/pack("C", hex($1))/eg;
    $value =~ s/\r\n/\n/g;
    $FORM{$name} = $value;
}

$mail  = "To: お問い合わせ係 <$mailto>\n";
$mail .= "From: $FORM{'name'} <$FORM{'email'}>\n";
$mail .= "Subject: [問合せ] $FORM{'subject'}\n";
$mail .= "Content-Transfer-Encoding: 7bit\n";
$mail .= "Content-Type: text/plain; charset=iso-2022-jp\n\n";
$mail .= "お名前： $FORM{'name'}\n";
$mail .= "ご用件： $FORM{'comment'}\n";
$mail .= ".\n以上\n";

open(MAIL, "| $sendmail -t") || &error('sendmail が見つかりません');
print MAIL Jcode->new($mail, 'sjis')->jis;
close(MAIL) || &error('メールを送信できませんでした');
print "Content-type: text/html\n\n<html><body>送信しました</body></html>\n";
exit(0);

sub error {
    print "Content-type: text/html\n\n<html><body>$_[0]</body></html>\n";
    exit(1);
}
