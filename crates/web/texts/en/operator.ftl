operator-parts = Operation
operator-part-overview = At a glance
operator-part-accounts = Accounts
operator-part-domains = Domains
operator-part-plans = Plans
operator-part-queue = Queue
operator-part-mail = Mail
operator-part-traffic = Traffic
operator-part-health = Health
operator-part-audit = Audit trail
operator-title = The house at a glance
operator-house = Accounts and domains
operator-addresses = Addresses with instructions
operator-sessions = Sessions
operator-messages = messages
operator-day = The last 24 hours
operator-look = See more
operator-silent = Not to be had just now.
operator-save = Save
operator-all-well = Nothing is amiss.
operator-alert-oldest = The oldest message has waited for { $span }.
operator-alert-destinations = { $count ->
    [one] One destination is left alone after failures: { $names }
   *[other] { $count } destinations are left alone after failures: { $names }
}
operator-alert-limit = { $account } has sent as much as it may: { $limit }.
operator-alert-dns = Required DNS records are missing or differ: { $count }.
search-title = Search
search-label = Address, account, domain or message ID
search-go = Search
search-nothing = Nothing was found.
search-mail = What became of mail from “{ $text }” and to it
search-message = A message
search-account = An account
search-domain = A domain
search-address = Address with instructions, of { $account }
search-leads-to = Leads to { $account }
confirm-type = To confirm, type { $word }
confirm-mistyped = What was typed is not what was asked for. Nothing has been done.
confirm-back = Cancel
pager-first = To the first page
chart-empty = No figures of this time.
chart-table = The figures as a table
chart-see-table = . The figures are in the table below.
span-seconds = { $count ->
    [one] { $count } second
   *[other] { $count } seconds
}
span-minutes = { $count } minutes
span-hours = { $count } hours
span-days = { $count } days
language-ja = Japanese
language-en = English
done-account-added = The account is there. It has no password yet: make a one-time link, and its owner sets one.
done-removed = Removed.
done-resumed = The destination is tried again.
