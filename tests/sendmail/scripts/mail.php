<?php
// What most of PHP does: mail(), with headers as one string, and as an array; with additional parameters.
// Arguments: the recipient. Says what mail() returned.
[, $to] = $argv;
$body = "Line one.\n.\nA line with a dot stood above, \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e here.\n";
$headers = "From: abc@pobox.example\r\nCc: xyz@pobox.example\r\nBcc: hidden@abc.pobox.example\r\nX-Mailer: PHP/" . phpversion();
var_dump(mail($to, 'by a string', $body, $headers));
var_dump(mail($to, 'by an array', $body, ['From' => '=?UTF-8?B?5aSq6YOO?= <abc@pobox.example>', 'MIME-Version' => '1.0',
    'Content-Type' => 'text/plain; charset=UTF-8', 'Content-Transfer-Encoding' => '8bit'], '-ffoo@abc.pobox.example'));
// No From at all, as php.ini of a provider leaves it.
var_dump(mail("$to, xyz@pobox.example", 'bare', $body));
