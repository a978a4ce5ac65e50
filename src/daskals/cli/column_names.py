"""What columns of users, items, ratings and titles are called in published data sets and in shops."""

from __future__ import annotations

import unicodedata

#: Without _ and -, in small letters. Where a table has
#: several of them, the first of a list is meant.
USERS = (
    *("userid", "user", "uid", "useridx", "customerid", "customer", "reviewerid", "reviewer", "memberid", "member"),
    *("visitorid", "visitor", "accountid", "account", "listenerid", "listener", "readerid", "reader"),
    *("kunde", "kunden", "kundennummer", "kundennr", "kundenid", "nutzer", "nutzerid", "benutzer", "benutzerid"),
    *("clientid", "utilisateur", "idutilisateur", "cliente", "idcliente", "usuario", "idusuario"),
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
    *("artikel", "artikelnummer", "artikelnr", "artikelid", "produkt", "produktnummer", "produktid", "buch"),
    *("produit", "idproduit", "articulo", "idarticulo", "producto", "idproducto", "pelicula", "libro", "livre"),
)
RATINGS = (
    *("rating", "ratings", "stars", "star", "score", "overall", "bookrating", "userrating", "reviewscore", "grade"),
    *("bewertung", "sterne", "valoracion", "puntuacion", "calificacion", "estrellas"),
)
#: Names of columns that count what somebody did, rather than what he thought of it.
COUNTS = (
    *("plays", "playcount", "listens", "listencount", "clicks", "views", "purchases", "quantity", "qty", "count"),
    *("counts", "weight", "hours", "playtime", "frequency", "events", "interactions", "visits", "checkins"),
    *("menge", "anzahl", "quantite", "cantidad"),
)
TITLES = (
    "title",
    "name",
    "itemname",
    "movietitle",
    "booktitle",
    "productname",
    "artistname",
    "label",
    "description",
    "titel",
    "titre",
    "titulo",
)
TIMES = (
    "timestamp",
    "time",
    "date",
    "datetime",
    "ts",
    "unixtimestamp",
    "created",
    "createdat",
    "reviewtime",
    "datum",
    "fecha",
)


def plain(name: str) -> str:
    """A name without what differs between ways of writing it, accents among them.

    >>> plain("User_ID"), plain("userId"), plain("Book-Rating"), plain("Quantité")
    ('userid', 'userid', 'bookrating', 'quantite')
    """
    return "".join(letter for letter in unicodedata.normalize("NFD", name.lower()) if letter.isalnum())


def is_known_name(name: str) -> bool:
    """Whether this is what a column is called somewhere."""
    return plain(name) in {*USERS, *ITEMS, *RATINGS, *COUNTS, *TITLES, *TIMES, "id"}
