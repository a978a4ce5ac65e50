"""What columns of users, items, ratings and titles are called in published data sets and in shops."""

from __future__ import annotations

#: Without _ and -, in small letters. Where a table has
#: several of them, the first of a list is meant.
USERS = (
    *("userid", "user", "uid", "useridx", "customerid", "customer", "reviewerid", "reviewer", "memberid", "member"),
    *("visitorid", "visitor", "accountid", "account", "listenerid", "listener", "readerid", "reader", "clientid"),
    *("client", "personid", "person", "playerid", "player", "sessionid", "profileid", "username", "authorid", "author"),
)
ITEMS = (
    *("itemid", "item", "iid", "movieid", "movie", "filmid", "film", "productid", "product", "parentasin", "asin"),
    *("sku", "isbn", "bookid", "book", "artistid", "artist", "songid", "song", "trackid", "track", "albumid", "album"),
    *(
        "gameid",
        "game",
        "animeid",
        "anime",
        "articleid",
        "article",
        "businessid",
        "business",
        "restaurantid",
        "placeid",
    ),
    *(
        "recipeid",
        "recipe",
        "courseid",
        "course",
        "jokeid",
        "videoid",
        "video",
        "venueid",
        "venue",
        "newsid",
        "stockcode",
    ),
)
RATINGS = ("rating", "ratings", "stars", "star", "score", "overall", "bookrating", "userrating", "reviewscore", "grade")
#: Names of columns that count what somebody did, rather than what he thought of it.
COUNTS = (
    *("plays", "playcount", "listens", "listencount", "clicks", "views", "purchases", "quantity", "qty", "count"),
    *("counts", "weight", "hours", "playtime", "frequency", "events", "interactions", "visits", "checkins"),
)
TITLES = ("title", "name", "itemname", "movietitle", "booktitle", "productname", "artistname", "label", "description")
TIMES = ("timestamp", "time", "date", "datetime", "ts", "unixtimestamp", "created", "createdat", "reviewtime")


def plain(name: str) -> str:
    """A name without what differs between ways of writing it.

    >>> plain("User_ID"), plain("userId"), plain("Book-Rating")
    ('userid', 'userid', 'bookrating')
    """
    return "".join(letter for letter in name.lower() if letter.isalnum())


def is_known_name(name: str) -> bool:
    """Whether this is what a column is called somewhere."""
    return plain(name) in {*USERS, *ITEMS, *RATINGS, *COUNTS, *TITLES, *TIMES, "id"}
