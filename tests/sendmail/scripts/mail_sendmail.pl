# Mail::Sendmail, which speaks SMTP itself. Arguments: port, recipient.
use strict;
use Mail::Sendmail;
my ($port, $to) = @ARGV;
my %mail = (
    To => $to, From => 'abc@pobox.example', Subject => 'Mail::Sendmail', Message => "by SMTP\n.\nend\n",
    Smtp => '127.0.0.1', Port => $port, auth => { user => 'abc', password => 'abc-try', method => 'PLAIN LOGIN', required => 1 },
);
sendmail(%mail) or die $Mail::Sendmail::error;
print $Mail::Sendmail::log;
