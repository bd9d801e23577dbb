mail-title = Where is my mail?
mail-message-title = What became of this message
mail-lead = What came to your addresses and left from them in the last days, and what became of it. Subject and text of mail are not kept here.
mail-with = Other side's address or domain
mail-with-hint = For example taro@example.jp or example.jp. Leave it empty for all.
mail-way = Way
mail-way-both = Received and sent
mail-way-in = Received
mail-way-out = Sent
mail-in = received
mail-out = sent
mail-days = Time
mail-last-days =
    { $days ->
        [1] The last 24 hours
       *[other] The last { $days } days
    }
mail-search = Search
mail-latest-first = The latest first
mail-when = Time
mail-fate = Result
mail-refused = refused
mail-nothing = Nothing was found.
mail-nothing-hint = Try more days, only the part after the @, or an empty search. What is not here has not reached this server.
mail-not-a-party = Please write a whole address (taro@example.jp) or a domain (example.jp).
tally-delivered = { $count } delivered
tally-forwarded = { $count } forwarded
tally-waiting = { $count } waiting
tally-untried = { $count } about to be delivered
tally-failed = { $count } not delivered
tally-removed = { $count } removed
fate-waiting = waits for the next attempt
