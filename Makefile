# Two commands: `make up` starts a cluster and shows a workload on it; `make test` runs all tests. `make down` ends it.
.PHONY: up down test

up:
	@scripts/up.sh

down:
	@scripts/down.sh

test:
	@scripts/install.sh
	@cargo xtask ci
