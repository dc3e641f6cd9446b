// How an ending server tells HTTP/2 clients to leave.
//
// Go's server says GOAWAY once, with the last request that it has seen, and ignores what comes after it on the connection:
// a request that is on its way at that moment is lost unless its client sends it again. The protocol's own way (RFC 9113,
// 6.8) is to say it first for no request at all, 2^31-1, and to go on serving: clients open another connection for what is
// next. Go's own GOAWAY then comes to a connection that nobody uses. Since Go's server does not do it, the frame is put
// between those that it writes.

package main

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
)

const (
	headersFrame  = 1
	settingsFrame = 4
)

// Length 8, type 7, no flags, stream 0; last stream 2^31-1, no error.
var goAway = []byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}

// leaving is a listener whose HTTP/2 connections can be told to leave.
type leaving struct {
	net.Listener
	begun atomic.Bool
	mu    sync.Mutex
	open  map[*frames]struct{}
}

func newLeaving(listener net.Listener) *leaving {
	return &leaving{Listener: listener, open: map[*frames]struct{}{}}
}

func (l *leaving) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	f := &frames{Conn: conn, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[f] = struct{}{}
	return f, nil
}

// begin tells all that are open, and from now on each new one with its first answer.
func (l *leaving) begin() {
	l.begun.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for f := range l.open {
		go f.tell()
	}
}

// frames follows what is written to a connection, to know where a frame ends.
type frames struct {
	net.Conn
	listener *leaving
	mu       sync.Mutex
	// The part of a frame's header that was written so far, and how much of its payload was not.
	header  []byte
	payload int
	// HTTP/1 does not begin as a frame of settings does.
	isHTTP1, isHTTP2, answered, told bool
}

func (f *frames) Write(written []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.Conn.Write(written)
	f.follow(written[:n])
	if err == nil {
		err = f.tellBetweenFrames()
	}
	return n, err
}

func (f *frames) follow(written []byte) {
	for len(written) > 0 && !f.isHTTP1 {
		if f.payload > 0 {
			skipped := min(f.payload, len(written))
			f.payload -= skipped
			written = written[skipped:]
			continue
		}
		taken := min(9-len(f.header), len(written))
		f.header = append(f.header, written[:taken]...)
		written = written[taken:]
		if len(f.header) < 9 {
			return
		}
		kind := f.header[3]
		f.isHTTP1 = !f.isHTTP2 && kind != settingsFrame
		f.isHTTP2 = !f.isHTTP1
		f.answered = f.answered || kind == headersFrame
		f.payload = int(binary.BigEndian.Uint32(f.header) >> 8)
		f.header = f.header[:0]
	}
}

// tellBetweenFrames tells a client to leave when it is time, not before it has got an answer: one that is told at once
// would never have sent what it opened the connection for.
func (f *frames) tellBetweenFrames() error {
	if f.told || !f.listener.begun.Load() || !f.isHTTP2 || !f.answered || f.payload > 0 || len(f.header) > 0 {
		return nil
	}
	f.told = true
	_, err := f.Conn.Write(goAway)
	return err
}

func (f *frames) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	// A client that is gone need not be told.
	_ = f.tellBetweenFrames()
}

func (f *frames) Close() error {
	f.listener.mu.Lock()
	delete(f.listener.open, f)
	f.listener.mu.Unlock()
	return f.Conn.Close()
}
