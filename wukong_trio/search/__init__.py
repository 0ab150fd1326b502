"""Full-text search over the messages that a user may read.

    text       what a word is: the terms of a text and of a query, and marking hits
    payload    which texts a payload has
    index      the terms of all messages, in a file of its own
    follow     the task that brings new messages into it, behind the commits
    search     what may be asked, and the answers

The store stays the one source of messages: the index gives ids, what the store does not have any more is not found, and
an index that is lost is made again from the messages. Knows nothing of sessions or protocols.
"""
