"""Use cases and rules, blind to wire formats and HTTP.

addressing   client channel id -> stored channel id, and who belongs to a channel by its id alone
directory    cached state of channels, kept true to the store
permission   who may send where
auth         who may connect
records      a stored message as back-ends read it, over the API and by webhooks
users, channels, history   what back-ends do over the API
"""
