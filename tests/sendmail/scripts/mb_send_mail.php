<?php
// PHP as Japanese sites write it: ISO-2022-JP made by mb_send_mail().
mb_language('Japanese');
mb_internal_encoding('UTF-8');
$from = mb_encode_mimeheader('山田商店', 'ISO-2022-JP') . ' <abc@pobox.example>';
var_dump(mb_send_mail($argv[1], 'お問い合わせありがとうございます', "ご注文を承りました。\n表示①\n", "From: $from", '-fabc@pobox.example'));
