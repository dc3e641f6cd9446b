module leadsman.dev/e2e/git

go 1.26.0
