# Each target sets up what it needs on a fresh machine with Python 3.11 and git, then does its work.
#
#   make demo          the whole way on a phantom study, over loopback
#   make run           the node, with the settings in houndsfield.toml (written, with comments, when missing)
#   make test          all tests; make test TESTS=tests/unit PYTEST_ARGS="-k padded" runs some of them
#   make check         format, lint, types, imports, and the gates' own tests
#   make bench         how fast images are received beside others, what the ledger, an answer and the documents cost
#   make chaos         random kills and outages on SQLite, PostgreSQL and Celery; SEED=1 SECONDS=60
#   make soak          half an hour of senders, kills and outages, and what was lost, doubled or grew; SEED=1 SECONDS=1800
#   make conformance   the tables of CONFORMANCE.md
#   make picture       the documentation's pictures, docs/*.jpg
#   make images        what becomes of each shared test file, docs/images.md
#   make fuzz          read 100,000 broken files; make fuzz COUNT=1000 SEED=7 KEEP=folder
#   make learn-demo    the metalearner on 400 phantoms: from images to a package that the node runs, in ten minutes; OPEN=1
#   make constraints   resolve the pinned versions anew

SETTINGS ?= houndsfield.toml
PYTEST_ARGS ?=
COUNT ?= 100000
SEED ?= 1
KEEP ?=
# Whatever a recipe runs: ONNX Runtime reports nothing to its maker.
export ORT_DISABLE_TELEMETRY := 1

.PHONY: demo run test check bench chaos soak picture conformance images fuzz learn-demo constraints

demo:
	@scripts/environment
	@.venv/bin/houndsfield demo

run:
	@scripts/environment
	@test -e $(SETTINGS) || .venv/bin/houndsfield config init $(SETTINGS)
	@.venv/bin/houndsfield serve -c $(SETTINGS)

test:
	@scripts/environment test
	@scripts/test $(PYTEST_ARGS)

check:
	@scripts/environment test
	@scripts/check

bench:
	@scripts/environment test
	@scripts/debian-packages orthanc dcmtk postgresql rabbitmq-server iproute2 util-linux
	@PYTHONPATH=tests scripts/isolated .venv/bin/python -P benchmarks/receive.py
	@PYTHONPATH=tests scripts/isolated .venv/bin/python -P benchmarks/receive_pdu.py
	@PYTHONPATH=tests scripts/isolated .venv/bin/python -P benchmarks/answer.py
	@PYTHONPATH=tests scripts/isolated .venv/bin/python -P benchmarks/ledger_cost.py
	@PYTHONPATH=tests .venv/bin/python -P benchmarks/documents.py
	@.venv/bin/python -P benchmarks/inference.py
	@PYTHONPATH=tests scripts/isolated .venv/bin/python -P benchmarks/two_machines.py

chaos soak:
	@scripts/environment test
	@scripts/debian-packages postgresql rabbitmq-server iproute2 util-linux
	@SEED=$(SEED) SECONDS=$(SECONDS) PYTHONPATH=tests scripts/isolated .venv/bin/python -P benchmarks/$@.py

picture:
	@scripts/environment
	@.venv/bin/python scripts/picture.py docs

conformance:
	@scripts/environment
	@.venv/bin/python scripts/conformance.py

images:
	@scripts/environment
	@.venv/bin/python scripts/images.py docs/images.md

fuzz:
	@scripts/environment test
	@PYTHONPATH=tests nice -n 19 .venv/bin/python scripts/fuzz.py --count $(COUNT) --seed $(SEED) $(if $(KEEP),--keep $(KEEP))

learn-demo:
	@scripts/environment train
	@.venv/bin/python -P scripts/learn_demo.py --out var/learn-demo $(if $(OPEN),--open)

constraints:
	@scripts/refresh-constraints
