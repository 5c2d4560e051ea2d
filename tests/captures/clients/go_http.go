// Go's net/http: `go_http serve PORT` answers, `go_http get URL` asks.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	if os.Args[1] == "serve" {
		http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/missing"):
				http.NotFound(w, r)
			case strings.HasPrefix(r.URL.Path, "/broken"):
				http.Error(w, "broken", http.StatusInternalServerError)
			case strings.HasPrefix(r.URL.Path, "/stream"):
				for i := 0; i < 3; i++ {
					fmt.Fprintf(w, "part %d\n", i)
					w.(http.Flusher).Flush()
				}
			default:
				_, _ = io.Copy(io.Discard, r.Body)
				fmt.Fprint(w, "hello")
			}
		})
		panic(http.ListenAndServe("127.0.0.1:"+os.Args[2], nil))
	}
	for _, path := range []string{"/users/4711?token=canary", "/missing/canary@example.com", "/broken"} {
		response, err := http.Get(os.Args[2] + path)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	}
	response, err := http.Post(os.Args[2]+"/users/4711", "application/json", strings.NewReader(`{"word": "canary"}`))
	if err == nil {
		response.Body.Close()
	}
}
