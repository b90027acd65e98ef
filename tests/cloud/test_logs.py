import json
import logging
import sys

from cloud.logs import JsonLines


def line_of(message, *arguments, exc_info=None, level=logging.WARNING):
    return JsonLines().format(logging.LogRecord("cloud.ingest", level, "ingest.py", 7, message, arguments, exc_info))


def test_a_record_is_one_line_of_json():
    text = line_of("%s: it\nbroke", 'a "quoted" name')
    assert "\n" not in text
    line = json.loads(text)
    assert line.pop("at") > 1.7e9
    assert line == {"level": "warning", "logger": "cloud.ingest", "message": 'a "quoted" name: it\nbroke'}


def test_an_error_brings_its_traceback():
    try:
        int("no number")
    except ValueError:
        line = json.loads(line_of("failed", exc_info=sys.exc_info(), level=logging.ERROR))
    assert (line["level"], "ValueError: invalid literal" in line["error"]) == ("error", True)


def test_a_name_that_is_no_text_is_written_all_the_same():
    assert json.loads(line_of("%s", "\udcff.mp4"))["message"] == "\\udcff.mp4"
