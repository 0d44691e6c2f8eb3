# Every target sets up what it needs: a virtual environment in .venv with the pinned packages.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := configs/demo.json

.PHONY: help train test browser screenshots check bench app clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1	/' | expand -t 14

train: $(VENV)/installed  ## train the demo on built-in data, and write its submission (under 3 minutes)
	$(RUN) train.py -c $(DEMO)
	$(RUN) test.py -r last

test: $(VENV)/installed-dev browser  ## run the tests
	$(RUN) -m pytest --numprocesses 2 --dist loadfile

# The tests of the app in a real browser need Debian's Chromium; where it cannot be installed they skip, and say so.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium fonts-noto-core >/dev/null; } \
	  || echo "no Chromium, and no right to install it: the tests in a browser will be skipped"

screenshots: $(VENV)/installed-dev browser  ## draw docs/app anew, from the tests in a browser
	SCREENSHOTS=1 $(RUN) -m pytest tests/browser

check: $(VENV)/installed-dev  ## lint, types, formatting, generated files
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) laurel.py schema --check

bench: $(VENV)/installed-dev  ## the benchmarks: ratios measured side by side
	$(RUN) -m benchmarks

app: $(VENV)/installed  ## open the inspection app on your runs
	$(VENV)/bin/streamlit run app.py

clean:  ## remove caches (not saved/, not .venv)
	find . -name __pycache__ -not -path './.venv/*' -exec rm -rf {} +
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
