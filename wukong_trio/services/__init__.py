"""Use cases and rules, blind to wire formats and HTTP.

addressing   client channel id -> stored channel id, and who belongs to a channel by its id alone
directory    cached state of channels, kept true to the store
permission   who may send where
auth         who may connect
records      a stored message as back-ends read it, over the API and by webhooks
channels, history          changes of channels, and pages of what is stored
arguments    what ids, lists and numbers may be, whoever brings them
users, channel_calls, channel_history, sending   what back-ends do over the API, and programs with a `Server`
"""
