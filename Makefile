# Each target sets up what it needs on a fresh machine with Python 3.11 and git, then does its work.
#
#   make demo          the whole way on a phantom study, over loopback
#   make run           the node, with the settings in houndsfield.toml (written, with comments, when missing)
#   make test          all tests; make test TESTS=tests/unit PYTEST_ARGS="-k padded" runs some of them
#   make check         format, lint, types, imports, and the gates' own tests
#   make bench         how fast images are received beside others, how long an answer takes, and what the documents cost
#   make conformance   the tables of CONFORMANCE.md
#   make picture       the documentation's pictures, docs/*.jpg
#   make constraints   resolve the pinned versions anew

SETTINGS ?= houndsfield.toml
PYTEST_ARGS ?=
# Whatever a recipe runs: ONNX Runtime reports nothing to its maker.
export ORT_DISABLE_TELEMETRY := 1

.PHONY: demo run test check bench picture conformance constraints

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
	@scripts/debian-packages orthanc dcmtk iproute2 util-linux
	@PYTHONPATH=tests scripts/isolated .venv/bin/python benchmarks/receive.py
	@PYTHONPATH=tests scripts/isolated .venv/bin/python benchmarks/receive_pdu.py
	@PYTHONPATH=tests scripts/isolated .venv/bin/python benchmarks/answer.py
	@PYTHONPATH=tests .venv/bin/python benchmarks/documents.py

picture:
	@scripts/environment
	@.venv/bin/python scripts/picture.py docs

conformance:
	@scripts/environment
	@.venv/bin/python scripts/conformance.py

constraints:
	@scripts/refresh-constraints
