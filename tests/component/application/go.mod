module gantry.health/tests/application

go 1.24
