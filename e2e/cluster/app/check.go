// A smoke test: a few requests, one after the other, each of which has to succeed (`app check URL`).

package main

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

const checks = 20

func check(args []string) error {
	if len(args) != 1 {
		return errors.New("check needs a URL")
	}
	client := &http.Client{Timeout: 2 * time.Second}
	for n := 1; n <= checks; n++ {
		response, err := client.Get(args[0])
		if err != nil {
			return fmt.Errorf("request %d of %d: %w", n, checks, err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("request %d of %d was answered with %s", n, checks, response.Status)
		}
	}
	return nil
}
