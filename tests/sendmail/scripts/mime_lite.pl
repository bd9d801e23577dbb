# MIME::Lite: a letter with an attachment, by the sendmail that $SENDMAIL names, in both of its ways.
use strict;
use MIME::Lite;
my ($to) = @ARGV;
my $sendmail = $ENV{SENDMAIL};
sub letter {
    my $letter = MIME::Lite->new(
        From => 'abc@pobox.example', To => $to, Cc => 'xyz@pobox.example', Bcc => 'hidden@abc.pobox.example',
        Subject => shift, Type => 'multipart/mixed',
    );
    $letter->attach(Type => 'TEXT', Data => "The catalogue.\n.\nend\n");
    $letter->attach(Type => 'image/gif', Encoding => 'base64', Filename => 'logo.gif', Data => join '', map chr, 0 .. 255);
    return $letter;
}
letter('by -t')->send('sendmail', "$sendmail -t -oi -oem") or die;
letter('by FromSender')->send('sendmail', Sendmail => $sendmail, FromSender => 'foo@abc.pobox.example') or die;
