"""`flopcast prices`: lists of one's own, refreshed catalogues, history."""

import csv
import http.server
import io
import json
import threading
import zipfile
from datetime import date

import pytest
from cli_calls import import_prices, results, run

pytestmark = pytest.mark.usefixtures("home")


def test_imported_prices_count_from_then_on(home):
    before = results("hardware", "h100-sxm")[0]["cheapest_usd_per_device_hour"]
    said = import_prices(home, f"acme,box,here,h100-sxm,8,on_demand,4.00,{date.today()}").stdout
    assert "Imported 1 price of own.csv" in said
    assert before > 0.5
    assert results("hardware", "h100-sxm")[0]["cheapest_usd_per_device_hour"] == 0.5
    assert "acme" in run("hardware", "h100-sxm", "--limit", "1").stdout


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("acme,box,here,h1000,8,on_demand,4.00,2026-11-20", "h1000"),
        ("acme,box,here,h100-sxm,8,on_demand,-4,2026-11-20", "line 3"),
        ("acme,box,here,h100-sxm,8,sometimes,4,2026-11-20", "pricing"),
        ("acme,box,here,h100-sxm,8,on_demand,4,yesterday", "as_of"),
    ],
)
def test_a_price_that_cannot_be_is_refused_with_its_line(home, line, part):
    result = import_prices(home, "acme,box,here,l4,1,on_demand,0.5,2026-11-20", line, code=2)
    assert "own.csv" in result.stderr and part in result.stderr
    assert "Traceback" not in result.stderr
    assert {row["rows"] for row in results("db", "info")} == {0}


def test_history_shows_each_day_provider_and_pricing(home):
    import_prices(home, f"acme,box,here,h100-sxm,8,on_demand,4.00,{date.today()}")
    rows = results("prices", "history", "h100-sxm")
    own = [row for row in rows if row["provider"] == "acme"]
    assert own == [
        {
            "as_of": str(date.today()),
            "provider": "acme",
            "pricing": "on_demand",
            "offers": 1,
            "lowest_usd": 0.5,
            "median_usd": 0.5,
            "highest_usd": 0.5,
        }
    ]
    assert [row["as_of"] for row in rows] == sorted(row["as_of"] for row in rows)
    text = run("prices", "history", "h100-sxm", "--pricing", "on-demand").stdout
    assert f"{date.today()}  acme" in text
    assert " spot " not in text
    assert next(csv.DictReader(io.StringIO(run("prices", "history", "l4", "--csv").stdout)))["provider"]


class Catalogue(http.server.BaseHTTPRequestHandler):
    """One provider's prices, as the public place publishes them."""

    content = ""

    def do_GET(self):
        if self.path.endswith("/version"):
            self.answer(b"20261121-1")
        elif self.path.endswith("catalog.zip"):
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w") as file:
                file.writestr(f"{self.path.split('/')[1]}.csv", self.content)
            self.answer(archive.getvalue())
        else:
            self.send_error(404)

    def answer(self, body: bytes):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def catalogue(monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Catalogue)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("FLOPCAST_PRICES_URL", f"http://127.0.0.1:{server.server_port}")
    yield Catalogue
    server.shutdown()


def test_refresh_brings_new_prices(catalogue, monkeypatch):
    header = "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,gpu_vendor,flags"
    rows = [f"gpu_{n}x_h100,r{n},{2.5 * n},26,200,{n},H100,80,False,,nvidia," for n in (1, 2, 4, 8)]
    monkeypatch.setattr(catalogue, "content", "\n".join([header, *rows]) + "\n")
    monkeypatch.setattr("hardware_db.price_refresh._enough", lambda offers, before: None)
    result = run("prices", "refresh", "--provider", "lambdalabs", "--json")
    answer = json.loads(result.stdout)
    assert sum(row["offers"] for row in answer["results"]) + sum(answer["left_out"].values()) == 4
    assert "Stored" in run("prices", "refresh", "--provider", "lambdalabs").stdout


def test_refresh_that_fails_leaves_everything_as_it_was(catalogue, monkeypatch):
    monkeypatch.setattr(catalogue, "content", "not,a,catalogue\n1,2,3\n")
    result = run("prices", "refresh", "--provider", "lambdalabs", code=2)
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr
    assert {row["rows"] for row in results("db", "info")} == {0}


def test_unknown_provider_names_the_known_ones():
    assert "There are: aws, azure" in run("prices", "refresh", "--provider", "nobody", code=2).stderr


def test_prices_of_other_regions_are_brought_there_only_when_asked_for(home):
    asked = ["estimate", "gpt2", "--tokens", "1B", "--hardware", "h100-sxm", "--count", "8", "--provider", "aws"]
    there = [*asked, "--region", "eu-west-1"]
    assert "aws" in run(*there, code=2).stderr
    brought = run(*there, "--derived-prices")
    assert "prices are derived, not published: p5.48xlarge is the price of us-east-1 x 1." in brought.stderr
    assert "aws" in brought.stdout
    assert "needs --provider and --region" in run(*asked, "--derived-prices", code=2).stderr


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--provider", "awz"], "No provider 'awz'. Did you mean aws? Providers: aws, azure"),
        (["--provider", "aws", "--region", "mars"], "aws has no price in 'mars'. Regions of aws: ap-northeast-1"),
        (["--provider", "gcp", "--region", "us-central"], "Did you mean us-central2, us-central1? Regions of gcp: "),
        (["--hardware", ""], "--hardware names nothing"),
        (["--hardware", "p4d.24xlarge"], "Name the device: a100-sxm-40gb"),
    ],
)
def test_a_place_that_nobody_offers_is_told_which_there_are(asked, said):
    assert said in run("estimate", "gpt2", "--tokens", "1B", *asked, code=2).stderr


def test_refresh_knows_providers_by_our_names_and_close_ones():
    assert "Did you mean azure?" in run("prices", "refresh", "--provider", "azur", code=2).stderr


def test_a_reserved_price_above_on_demand_is_remarked_on(home):
    day = date.today()
    lines = [f"acme,box,here,h100-sxm,8,{pricing},{usd},{day}" for pricing, usd in
             (("on_demand", 4), ("reserved_1y", 5), ("reserved_3y", 3))]  # fmt: skip
    said = import_prices(home, *lines)
    assert "Imported 3 prices" in said.stdout
    assert "reserved_1y 5 is above on demand 4" in said.stderr and "reserved_3y" not in said.stderr


def test_history_of_free_machines_says_where_they_are():
    assert "flopcast hardware t4 lists them" in run("prices", "history", "t4", "--pricing", "free", code=1).stdout
    assert any(line.startswith("Free ") for line in run("hardware", "t4").stdout.splitlines())
