#!/usr/local/bin/perl
# アンケート集計。Shift_JIS を手で ISO-2022-JP にし、-n -t で、カンマ区切りの宛先に送る。
# From は書かない（サーバーが付けてくれる）。「ソ」や「表」の二バイト目は \ なので、後ろに \ を足してある。
$sendmail = "$ENV{'SENDMAIL'} -n -t";
@members  = ('abc@pobox.example', 'xyz@pobox.example');

open(MAIL, "|$sendmail") || die;
print MAIL "To: ", join(',', @members), "\n";
print MAIL "Cc: list\@abc.pobox.example, \n";
print MAIL "Bcc: hidden\@abc.pobox.example\n";
print MAIL "Subject: ", &jis('アンケート結果'), "\n";
print MAIL "X-Mailer: enquete.cgi ver1.02\n";
print MAIL "\n";
print MAIL &jis("一位\tソ\フト\n二位\t表\計算\n");
close(MAIL);
exit($? >> 8);

# JIS X 0208 の二バイト目までを計算で移す。半角カナは来ない。
sub jis {
    local($in) = @_;
    local($out, $kanji) = ('', 0);
    while ($in =~ /([\x81-\x9f\xe0-\xef][\x40-\x7e\x80-\xfc])|([\x00-\x7f])/g) {
        if (defined($1)) {
            local($hi, $lo) = unpack('C2', $1);
            $hi = ($hi - ($hi < 0xa0 ? 0x81 : 0xc1)) * 2 + 0x21;
            if ($lo >= 0x9f) { $hi++; $lo -= 0x7e; } else { $lo -= $lo > 0x7e ? 0x20 : 0x1f; }
            $out .= "\e\$B" unless $kanji;
            $out .= pack('C2', $hi, $lo);
            $kanji = 1;
        } else {
            $out .= "\e(B" if $kanji;
            $out .= $2;
            $kanji = 0;
        }
    }
    $kanji ? "$out\e(B" : $out;
}
