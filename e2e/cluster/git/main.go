// Command git-server serves Git repositories over smart HTTP, for reading and pushing: git's own http-backend behind
// Go's CGI handler. A repository, /<name>.git, is made when it is first asked for. Nobody has to log in.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
)

// As git finds its own programs, and with what every repository here is to be like.
var environment = []string{
	"PATH=/usr/bin:/bin",
	"GIT_HTTP_EXPORT_ALL=1",
	"GIT_CONFIG_NOSYSTEM=1",
	"GIT_CONFIG_COUNT=3",
	"GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=true",
	"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*",
	// A repository lives as long as a scenario.
	"GIT_CONFIG_KEY_2=gc.auto", "GIT_CONFIG_VALUE_2=0",
}

var repository = regexp.MustCompile(`^/([a-z0-9][a-z0-9-]*\.git)(/.*)$`)

func main() {
	root := flag.String("root", "/srv/git", "folder of the repositories")
	listen := flag.String("listen", ":8080", "address to listen at")
	flag.Parse()
	backend := &cgi.Handler{
		Path: "/usr/lib/git-core/git-http-backend",
		Env:  append(environment, "GIT_PROJECT_ROOT="+*root),
	}
	var making sync.Mutex
	http.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		asked := repository.FindStringSubmatch(r.URL.Path)
		if asked == nil {
			http.NotFound(w, r)
			return
		}
		making.Lock()
		err := ensure(filepath.Join(*root, asked[1]))
		making.Unlock()
		if err != nil {
			log.Print(err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		backend.ServeHTTP(w, r)
	})
	log.Fatal(http.ListenAndServe(*listen, nil))
}

// ensure makes a repository whose branch is main, unless it is there.
func ensure(folder string) error {
	if _, err := os.Stat(filepath.Join(folder, "HEAD")); err == nil {
		return nil
	}
	git := exec.Command("/usr/bin/git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", folder)
	git.Env = environment
	git.Stderr = os.Stderr
	return git.Run()
}
