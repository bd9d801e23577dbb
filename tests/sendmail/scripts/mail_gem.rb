# Ruby's mail gem, as Rails uses it. Argument: the recipient.
require 'mail'
to = ARGV[0]
Mail.defaults { delivery_method :sendmail, location: ENV['SENDMAIL'], arguments: '-i' }
Mail.deliver do
  from    '太郎 <abc@pobox.example>'
  to      to
  bcc     'hidden@abc.pobox.example'
  subject '日本語の件名'
  body    "Line one.\n.\nこんにちは\n"
  charset = 'UTF-8'
end
