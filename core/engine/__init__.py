"""The engine: one per lab, detached, the single writer of the record.

`engine.py` is the loop; each of its rooms does one thing and is crash-only: `preparing` (data and repository),
`proposing` (asks the researcher), `reviewing` (takes decisions), `running` (starts and collects runs), `judging`
(verdicts), `server` (the request socket). They share a `Bench`.
"""
