"""Put Floe on a chain: plan, execute, verify, record.

`config` reads and checks `config/<network>.yaml`, `plan` turns it into deployments with predicted addresses and touches
nothing, `execute` sends what is not there yet and writes `deployments/<network>.json` after each step (`record`), and
`verify` reads everything back from the chain. `ape run deploy --network ...` does all of it.
"""
