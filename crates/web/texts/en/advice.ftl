cause-unknown = no such address
cause-disabled = the mailbox is switched off
cause-full = the mailbox is full
cause-large = the message is too large
cause-unauthenticated = the sender could not be verified
cause-blocked = taken for spam, or blocked
cause-later = come again later
cause-domain = no such domain
cause-nomail = the domain takes no mail
cause-dns = name servers do not answer
cause-unreachable = the server cannot be reached
cause-tls = no secure connection
cause-loop = it goes round in a circle
cause-long = tried until its time was over
cause-script = the address is in a script that the server does not know
cause-ours = a matter of this server
cause-other = the server gave another reason
advice-unknown =
    { $side ->
        [forwarded] Nobody has this address any more. Correct it, or remove it from your destinations.
       *[sent] Nobody has this address. Check it for a typing mistake, or ask the recipient for the right one.
    }
advice-disabled =
    { $side ->
        [forwarded] The owner's mailbox is switched off or was not used for long. Sign in there once, or remove the destination.
       *[sent] The recipient's mailbox is switched off. Reach the recipient in another way.
    }
advice-full =
    { $side ->
        [forwarded] Delete mail there to make room. Until then, keep a copy in your mailbox here so that nothing is lost.
       *[sent] The recipient must make room first. Send the message again in some days.
    }
advice-large =
    { $side ->
        [forwarded] That server takes only smaller messages. Keep a copy in your mailbox here, so that large ones reach you.
       *[sent] Send it in parts, or make attachments smaller.
    }
advice-unauthenticated =
    { $side ->
        [forwarded] Such servers take mail only if the sender's domain vouches for it (SPF, DKIM, DMARC), and forwarding breaks SPF. Keep a copy in your mailbox here, so that you miss nothing. The sender can help by signing mail with DKIM.
       *[sent] Send through this server, and with an address of yours as sender. If your own domain is the sender, its SPF and DKIM records must name this server: ask your provider.
    }
advice-blocked =
    { $side ->
        [forwarded] The server did not want this message. If wanted mail is refused too, allow your address there, and keep a copy in your mailbox here.
       *[sent] The server took it for spam. Write it again with other words and fewer links, or ask the recipient to allow your address. If all your mail is refused, tell your provider.
    }
advice-later =
    { $end ->
        [permanent] The server had no time for it. Send the message again later.
       *[temporary] You need not do anything: it is tried again by itself.
    }
advice-domain =
    { $side ->
        [forwarded] The part after the @ does not exist. Correct the destination, or remove it.
       *[sent] The part after the @ does not exist. Check it for a typing mistake.
    }
advice-nomail =
    { $side ->
        [forwarded] Mail to this domain cannot be delivered. Use another destination.
       *[sent] Mail to this domain cannot be delivered. Ask the recipient for another address.
    }
advice-dns =
    { $end ->
        [permanent] It could not be found out where this domain takes its mail. Check the part after the @.
       *[temporary] It is not known just now where this domain takes its mail. It is tried again by itself; if it lasts, check the part after the @.
    }
advice-unreachable =
    { $end ->
        [permanent] The other server could not be reached in all that time. Check the part after the @, or reach the recipient in another way.
       *[temporary] The other server does not answer. It is tried again by itself.
    }
advice-tls =
    { $end ->
        [permanent] A secure connection to the other server could not be made. Tell your provider, or the provider of the recipient.
       *[temporary] A secure connection to the other server cannot be made just now. It is tried again by itself; if it lasts, tell your provider.
    }
advice-loop =
    { $side ->
        [forwarded] Two addresses forward to each other. Look at where your destination forwards its mail, and take one of the two away.
       *[sent] The recipient's address forwards in a circle. Tell the recipient, in another way.
    }
advice-long =
    { $side ->
        [forwarded] The destination took nothing for days. Check whether it still works.
       *[sent] The other server took nothing for days. Check the address, and send the message again.
    }
advice-script = The other server cannot take addresses with letters outside of the Latin ones. Ask for an address without them.
advice-ours =
    { $end ->
        [permanent] Please tell your provider, with the time and the words below.
       *[temporary] It is tried again by itself. If it lasts, tell your provider.
    }
advice-other =
    { $end ->
        [permanent] Read the server's words below: they may say what to do. If not, ask the owner of the address, or your provider.
       *[temporary] It is tried again by itself. If it lasts, read the server's words below.
    }
