# Every target sets up what it needs, on a new machine too: Python packages in .venv, by hash; Debian's packages by
# scripts/system-packages.sh, which installs them when it may and otherwise prints the line that does.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
WORKERS ?= auto
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input

.PHONY: help install demo test check format bench clean

help:
	@echo 'make demo     the whole way in under a minute: backup, loss, restore, comparison'
	@echo 'make test     all checks, then all tests against real servers (WORKERS=2, ARGS="-k name")'
	@echo 'make check    linters, types, layers'
	@echo 'make format   put the source into the house form'
	@echo 'make bench    the measurements of bench/README.md (QUICK=1 for some of it, PARTS=office,many)'
	@echo 'make install  what they all need, in .venv'

install: $(INSTALLED)

$(INSTALLED): requirements-dev.txt requirements-build.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'error: Restante needs Python 3.11 or newer: make PYTHON=/path/to/python3.13' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/system-packages.sh python
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) --require-hashes -r requirements-dev.txt -r requirements-build.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(INSTALLED)
	$(BIN)/restante demo

check: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	scripts/system-packages.sh $(filter-out $(subst $(comma), ,$(RESTANTE_TEST_WITHOUT)),dovecot cyrus courier imap4d postfix exim sendmail ministack bench)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

format: $(INSTALLED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(INSTALLED)
	scripts/system-packages.sh dovecot bench
	$(BIN)/python -m bench.run $(if $(QUICK),--size quick) $(if $(TINY),--size tiny) $(if $(PARTS),--parts $(PARTS)) $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache bench/out demo-vault demo-vault.passphrase

comma := ,
