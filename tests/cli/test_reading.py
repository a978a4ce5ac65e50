"""What is read from a file, and what is guessed of it."""

import http.server
import shlex
import threading

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from support.small_ratings import ROWS, SMALL, lines_of

from daskals.cli.guessing import guess_roles, guess_titles
from daskals.cli.heads import look_at
from daskals.cli.layouts import layout_of
from daskals.cli.models import saved_at
from daskals.cli.reading import Reading, read_ratings


def layout_of_text(path, text):
    path.write_text(text)
    return layout_of(str(path), look_at(str(path)))


@pytest.fixture
def guess(here):
    """A function: the columns that are guessed of a text."""

    def of(text, user=None, item=None, rating=None, prefer=()):
        path = here / "file.csv"
        return tuple(guess_roles("file.csv", layout_of_text(path, text), user, item, rating, prefer))

    return of


def test_columns_are_guessed_by_names_of_published_data_sets(guess):
    for header, expected in {
        "userId,movieId,rating,timestamp": ("userId", "movieId", "rating", False),
        "User-ID;ISBN;Book-Rating": ("User-ID", "ISBN", "Book-Rating", False),
        "user_id\tbusiness_id\tstars": ("user_id", "business_id", "stars", False),
        "reviewerID,asin,overall,unixReviewTime": None,
        "userID\tartistID\tweight": ("userID", "artistID", "weight", True),
        "visitorid,itemid,timestamp": ("visitorid", "itemid", None, True),
        "customer,product,quantity": ("customer", "product", "quantity", True),
        "CustomerID,StockCode,Quantity": ("CustomerID", "StockCode", "Quantity", True),
        "Kundennummer;Artikelnummer;Anzahl": ("Kundennummer", "Artikelnummer", "Anzahl", True),
        "Datum;Nutzer;Produkt;Bewertung": ("Nutzer", "Produkt", "Bewertung", False),
        "utilisateur;produit;quantité": ("utilisateur", "produit", "quantité", True),
        "id_usuario,película,valoración,fecha": ("id_usuario", "película", "valoración", False),
    }.items():
        separator = next(each for each in ",;\t" if each in header)
        text = header + "\n" + lines_of([range(1, header.count(separator) + 2)] * 3, separator)
        if expected is None:  # unixReviewTime is none of the usual names, but overall is: what is more is left
            expected = ("reviewerID", "asin", "overall", False)
        assert guess(text) == expected, header


def test_without_names_the_first_three_columns_are_taken(guess):
    assert guess("1,10,4.5,978300760\n2,11,3,978300761\n") == ("1", "2", "3", False)
    assert guess("1,10,352698\n2,11,13\n") == ("1", "2", "3", True)
    assert guess("1,10\n2,11\n") == ("1", "2", None, True)


def test_columns_that_are_named_are_taken_by_name_or_number(guess):
    text = "buyer,what,how_much\n1,10,4\n2,11,3\n"
    assert guess(text, "buyer", "2", "how_much") == ("buyer", "what", "how_much", False)
    assert guess(text, "Buyer", "what", "none") == ("buyer", "what", None, True)
    with pytest.raises(ValueError, match=r"no column 'shop' \(--user-col\); it has the columns buyer, what, how_much"):
        guess(text, "shop")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b,c\n1,2,3\n", "which column holds the users, which the items and which the ratings is not obvious"),
        ("rating,a,b\n1,2,3\n", "the users and which the items is not obvious.*: --user-col a --item-col b$"),
        ("user,item,price\n1,2,3\n", "which column holds the ratings is not obvious"),
        ("1,10,978300760\n2,11,978300761\n", "ratings is not obvious.*: --rating-col none; none counts each row as 1"),
        ("ann,film,good\nbob,book,bad\n", "3 columns without names, of which the first row is ann, film, good"),
    ],
)
def test_what_is_not_obvious_is_not_guessed(guess, text, told):
    with pytest.raises(ValueError, match=told):
        guess(text)


def test_what_is_not_obvious_is_told_at_once_with_a_command_that_works(invoke, here):
    (here / "my sales.csv").write_text("time,buyer,what,how good\n" + lines_of((9, *row) for row in ROWS))
    said = invoke("fit", "my sales.csv", *SMALL, "--out", "a.model")
    assert said.code == 1
    (told,) = said.err.splitlines()
    assert "which column holds the users, which the items and which the ratings is not obvious" in told
    program, *arguments = shlex.split(told.partition("order: ")[2].partition(";")[0])
    assert program == "daskals"
    assert invoke(*arguments).code == 0
    assert saved_at("a.model")[1:4] == ("buyer", "what", "how good")


def test_a_matrix_with_a_column_for_each_item_is_not_taken_for_ratings(invoke, here):
    cells = [",".join(["5", "", "3"] * 4) for _ in range(4)]
    for first in (range(1, 13), [f"Film {number}" for number in range(1, 13)]):
        text = f"user,{','.join(map(str, first))}\n" + "".join(f"{user},{row}\n" for user, row in enumerate(cells))
        (here / "wide.csv").write_text(text)
        said = invoke("fit", "wide.csv", *SMALL)
        assert said.code == 1
        assert "one row for each rating is expected" in said.err


def test_columns_that_a_file_does_not_name_are_told_by_their_numbers(invoke, here, frame):
    frame.to_csv("index.csv")  # pandas writes its index first, without a name
    assert "not used: column 1 (no name)" in invoke("fit", "index.csv", *SMALL).err
    (here / "plain.csv").write_text("1,10,352698\n2,11,13\n2,10,3\n")
    assert "since column 3 looks like counts" in invoke("fit", "plain.csv", *SMALL).err


def test_names_of_a_model_come_first(guess):
    text = "user,seller,item,rating\n1,2,3,4\n"
    assert guess(text)[:2] == ("user", "item")
    assert guess(text, prefer=("seller", "item"))[:2] == ("seller", "item")


def test_titles(here):
    films = layout_of_text(here / "movies.csv", "movieId,title,genres\n1,Toy Story (1995),Comedy\n")
    assert guess_titles("movies.csv", films, "item", None) == ("movieId", "title")
    items = layout_of_text(here / "u.item", "1|Toy Story (1995)|01-Jan-1995||0\n2|GoldenEye (1995)|01-Jan-1995||1\n")
    assert guess_titles("u.item", items, "item", None) == ("1", "2")
    assert guess_titles("u.item", items, "item", ("2", "3")) == ("2", "3")
    with pytest.raises(ValueError, match="--titles-columns ID,TITLE"):
        guess_titles("x.csv", layout_of_text(here / "x.csv", "a,b\n1,2\n"), "item", None)


# ---- frames ----------------------------------------------------------------------------------------------


def read(path, **more):
    ratings = read_ratings(str(path), Reading(**more))
    frame = ratings.frame
    return frame if isinstance(frame, pd.DataFrame) else frame.compute().reset_index(drop=True)


def test_every_form_gives_the_same_frame(here, frame):
    frame.to_csv(here / "a.csv", index=False)
    frame.to_csv(here / "a.tsv", index=False, sep="\t")
    frame.to_csv(here / "a.csv.bz2", index=False)
    frame.to_parquet(here / "a.parquet")
    frame.to_json(here / "a.jsonl", orient="records", lines=True)
    (here / "a.dat").write_text("userId::movieId::rating\n" + lines_of(ROWS, "::"))
    for name in ("a.csv", "a.tsv", "a.csv.bz2", "a.parquet", "a.jsonl", "a.dat"):
        assert_frame_equal(read(here / name), frame, check_dtype=False, obj=name)


def test_several_files_are_read_lazily_and_give_the_same(here, frame):
    for name, how in (("csv", {}), ("parquet", {}), ("jsonl", {})):
        folder = here / name
        folder.mkdir()
        for number, part in enumerate((frame.iloc[:20], frame.iloc[20:])):
            path = folder / f"{number}.{name}"
            if name == "csv":
                part.to_csv(path, index=False)
            elif name == "parquet":
                part.to_parquet(path)
            else:
                part.to_json(path, orient="records", lines=True)
        for source in (folder, f"{folder}/*.{name}"):
            ratings = read_ratings(str(source), Reading(**how))
            assert not isinstance(ratings.frame, pd.DataFrame)
            assert_frame_equal(ratings.frame.compute().reset_index(drop=True), frame, check_dtype=False)


def test_a_file_beyond_the_size_is_read_lazily(ratings_csv, frame, monkeypatch):
    monkeypatch.setattr("daskals.cli.reading.LARGE", 100)
    lazy = read_ratings(str(ratings_csv), Reading())
    assert not isinstance(lazy.frame, pd.DataFrame)
    assert_frame_equal(lazy.frame.compute().reset_index(drop=True), frame, check_dtype=False)


def test_ids_with_leading_zeros_stay_what_they_are(here):
    (here / "a.dat").write_text("7::0104257::8::1364690142\n7::1074638::7::1365029107\n")
    assert read(here / "a.dat")["item"].tolist() == ["0104257", "1074638"]


def test_ids_are_text_where_one_is(here):
    (here / "a.csv").write_text("user,item,rating\n1,2,3\nNA,2,4\n")
    assert read(here / "a.csv")["user"].tolist() == ["1", "NA"]


def test_titles_with_colons_between_colons(here):
    (here / "a.dat").write_text("ann::Dune: Part Two::5\nbob::Dune: Part Two::4\n")
    found = read(here / "a.dat")
    assert found["item"].tolist() == ["Dune: Part Two"] * 2
    assert found["rating"].tolist() == [5, 4]


def test_the_line_of_a_fault_is_told_of_files_that_are_read_lazily(invoke, here):
    folder = here / "parts"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.csv").write_text("user,item,rating\n" + lines_of(ROWS))
    with (folder / "1.csv").open("a") as file:
        file.write("3,4,good\n")
    said = invoke("fit", "parts/*.csv", "--rank", 2)
    assert said.code == 1
    told = said.err.splitlines()[-1]
    assert told.endswith("1.csv, line 35: column rating holds 'good', where a finite number is expected")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (",4,3", "line 35: there is no id in column user"),
        ("3,4,", "line 35: there is no rating in column rating"),
        ("3,4,inf", "line 35: column rating holds inf"),
        ("3,4,5,6", "line 35: there are 4 fields where the other lines have 3"),
    ],
)
def test_the_line_of_a_fault_is_told(here, row, told):
    (here / "a.csv").write_text("user,item,rating\n" + lines_of(ROWS) + row + "\n")
    with pytest.raises(ValueError, match=told):
        read(here / "a.csv")


# ---- places ----------------------------------------------------------------------------------------------


def test_places_where_there_is_nothing_to_read(here):
    (here / "folder").mkdir()
    (here / "folder" / "readme.md").write_text("x")
    (here / "mixed").mkdir()
    (here / "mixed" / "a.csv").write_text("x")
    (here / "mixed" / "b.tsv").write_text("x")
    (here / "good.csv").write_text("x")
    for source, told in {
        "gone.csv": "There is no gone.csv$",
        "good.cvs": "There is no good.cvs; there is good.csv$",
        "nix/a.csv": "there is no folder nix either",
        "*.parquet": r"No file matches \*.parquet",
        "folder": r"is a folder without files of ratings \(it has readme.md\)",
        "mixed": "is a folder of several kinds of files",
    }.items():
        with pytest.raises((OSError, ValueError), match=told):
            read(source)


@pytest.fixture
def server(here):
    """The address of a server of the current folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_urls(server, ratings_csv, frame, invoke):
    assert_frame_equal(read(f"{server}/ratings.csv"), frame, check_dtype=False)
    said = invoke("fit", f"{server}/gone.csv")
    assert said.code == 1
    assert said.err.splitlines()[-1] == f"daskals: {server}/gone.csv cannot be read: the server says 404 File not found"
