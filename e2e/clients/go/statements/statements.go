// Package statements prints what is stated of Kafka, one line each: `ok <statement>` or `FAIL <statement>: why`.
package statements

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"time"
)

const (
	Patience  = 60 * time.Second
	statement = 180 * time.Second
)

var (
	Bootstrap, Peer     string
	Compressions        = []string{"none", "gzip", "snappy", "lz4", "zstd"}
	run                 = fmt.Sprintf("%x", time.Now().UnixNano())
	held, failed, names int
)

// Begin takes the arguments, and says which version of the library this is.
func Begin(title, module string) {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "arguments: BOOTSTRAP PEER")
		os.Exit(2)
	}
	Bootstrap, Peer = os.Args[1], os.Args[2]
	version := "?"
	if built, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range built.Deps {
			if dependency.Path == module {
				version = strings.TrimPrefix(dependency.Version, "v")
			}
		}
	}
	fmt.Printf("# %s %s against %s\n", title, version, Peer)
}

type mismatch string

// States runs a body; the statement holds if it returns in time.
func States(what string, body func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), statement)
	defer cancel()
	defer func() {
		why := recover()
		if why == nil {
			held++
			fmt.Printf("ok %s\n", what)
			return
		}
		failed++
		fmt.Printf("FAIL %s: %s\n", what, strings.ReplaceAll(fmt.Sprint(why), "\n", " "))
	}()
	body(ctx)
}

func Expect(what string, expected, actual any) {
	if !reflect.DeepEqual(expected, actual) {
		panic(mismatch(fmt.Sprintf("%s: expected %s, got %s", what, shown(expected), shown(actual))))
	}
}

func shown(value any) string {
	text := fmt.Sprintf("%+v", value)
	if len(text) > 200 {
		return text[:200] + "..."
	}
	return text
}

func Check(err error) {
	if err != nil {
		panic(err)
	}
}

// Must gives what was asked for, or fails the statement.
func Must[T any](value T, err error) T {
	Check(err)
	return value
}

// Refused is for what must fail with exactly this error's text at its beginning, Kafka's name for it.
func Refused(name string, err error) {
	if err == nil {
		panic(mismatch("expected " + name + ", but it was accepted"))
	}
	if !strings.HasPrefix(err.Error(), name) {
		panic(mismatch("expected " + name + ", got " + err.Error()))
	}
}

func Eventually(what string, condition func() bool) {
	for deadline := time.Now().Add(Patience); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic(mismatch(fmt.Sprintf("not within %s: %s", Patience, what)))
		}
	}
}

// Name is of a topic or group no run used before.
func Name(client, hint string) string {
	names++
	return fmt.Sprintf("%s-%s-%s-%d", client, run, hint, names)
}

// Noise is bytes no compressor makes smaller, the same in every run.
func Noise(length int) []byte {
	bytes := make([]byte, length)
	rand.New(rand.NewSource(42)).Read(bytes)
	return bytes
}

func End() {
	fmt.Printf("%d statements hold, %d do not\n", held, failed)
	if failed > 0 {
		os.Exit(1)
	}
}

// RefusedAs is for what must fail with exactly this error, whoever wraps it.
func RefusedAs(expected, err error) {
	if err == nil {
		panic(mismatch("expected " + expected.Error() + ", but it was accepted"))
	}
	if !errors.Is(err, expected) {
		panic(mismatch("expected " + expected.Error() + ", got " + err.Error()))
	}
}
