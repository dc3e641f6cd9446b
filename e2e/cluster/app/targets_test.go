package main

import (
	"io"
	"testing"
)

func TestABodyIsGivenAgainOnlyAsLongAsNobodyHasBegunToSendIt(t *testing.T) {
	body := newBody()
	// As a transport does that finds its connection gone.
	_ = body.Close()
	another, err := body.again()
	if err != nil {
		t.Fatal(err)
	}
	if read, err := io.ReadAll(another); err != nil || string(read) != "?" {
		t.Fatalf("%q, %v", read, err)
	}
	if _, err := io.ReadAll(body); err != nil {
		t.Fatal(err)
	}
	if again, err := body.again(); err == nil {
		t.Fatalf("%v after it was sent", again)
	}
}
