package ingest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	apigw "github.com/aws/aws-lambda-go/events"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"footfall/shared/business"
	"footfall/shared/ingest/senders"
)

// document is docs/openapi.yaml, read once.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	l := openapi3.NewLoader()
	l.IsExternalRefsAllowed = true
	return l.LoadFromFile("../../docs/openapi.yaml")
})

func openAPI(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

var router = sync.OnceValues(func() (routers.Router, error) {
	doc, err := document()
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // any host
	return gorillamux.NewRouter(doc)
})

// findOperation returns the operation of a request, or nil if the document has
// none.
func findOperation(t testing.TB, r apigw.APIGatewayV2HTTPRequest) *openapi3filter.RequestValidationInput {
	t.Helper()
	rt, err := router()
	if err != nil {
		t.Fatal(err)
	}
	q := &http.Request{Method: r.RequestContext.HTTP.Method, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(r.Body))}
	q.URL = must(q.URL.Parse("http://ingest.example.com/"))
	q.URL.Path = r.RawPath
	for name, value := range r.Headers {
		q.Header.Set(name, value)
	}
	found, params, err := rt.FindRoute(q)
	if err != nil {
		return nil
	}
	return &openapi3filter.RequestValidationInput{
		Request: q, Route: found, PathParams: params,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
}

// checkReply fails the test if a reply is not one of its operation in the document.
// If the document has no such operation, the reply must be 404, 405 or 429.
func checkReply(t testing.TB, r apigw.APIGatewayV2HTTPRequest, a reply) {
	t.Helper()
	in := findOperation(t, r)
	if in == nil {
		if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed && a.status != http.StatusTooManyRequests {
			t.Errorf("%s %q: got status %d, and the document has no such operation", r.RequestContext.HTTP.Method, r.RawPath, a.status)
		}
		return
	}
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("%s %s: got %d %s: %v", r.RequestContext.HTTP.Method, r.RawPath, a.status, a.body, err)
	}
}

// checkRequest fails the test if a well-formed request is not one of the document.
func checkRequest(t testing.TB, r apigw.APIGatewayV2HTTPRequest) {
	t.Helper()
	in := findOperation(t, r)
	if in == nil {
		t.Errorf("%s %s is not in the document", r.RequestContext.HTTP.Method, r.RawPath)
		return
	}
	if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
		t.Errorf("%s %s: %v", r.RequestContext.HTTP.Method, r.RawPath, err)
	}
}

func TestDocumentIsValid(t *testing.T) {
	if err := openAPI(t).Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

// The document and the handler have the same routes and methods, and for each kind
// the same header of the signature.
func TestDocumentHasEveryRoute(t *testing.T) {
	var want, got []string
	for _, kind := range senders.Kinds() {
		for _, m := range allowedMethods(kind) {
			want = append(want, m+" /v1/{business}/"+kind)
		}
	}
	for path, item := range openAPI(t).Paths.Map() {
		for method := range item.Operations() {
			got = append(got, method+" "+path)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("the document has %q, the code %q", got, want)
	}
	for _, kind := range senders.Kinds() {
		s, _ := senders.ByKind(kind)
		var read []string
		_ = s.Verify(func(name string) string { read = append(read, name); return "" }, []byte("{}"), []string{secret})
		var documented []string
		for _, need := range *openAPI(t).Paths.Find("/v1/{business}/" + kind).Post.Security {
			for name := range need {
				documented = append(documented, openAPI(t).Components.SecuritySchemes[name].Value.Name)
			}
		}
		if !slices.Equal(read, documented) {
			t.Errorf("%s: the code reads headers %q, the document has %q", kind, read, documented)
		}
	}
}

// outcome is a status and the code that goes with it.
type outcome struct {
	status int
	code   string
}

func (o outcome) String() string { return fmt.Sprint(o.status, " ", o.code) }

// The document and the code have the same statuses and codes of rejections, those
// of this package and of senders.
func TestDocumentHasEveryRejection(t *testing.T) {
	want, got := rejectionsInSource(t), map[outcome]bool{}
	for code, status := range senders.Codes() {
		want[outcome{status, code}] = true
	}
	for _, r := range openAPI(t).Components.Responses {
		for _, o := range responseOutcomes(t, r.Value) {
			got[o] = true
		}
	}
	if !maps.Equal(want, got) {
		t.Errorf("the document has\n%v, the code\n%v", sortedOutcomes(got), sortedOutcomes(want))
	}
}

func sortedOutcomes(m map[outcome]bool) (all []string) {
	for o := range m {
		all = append(all, o.String())
	}
	slices.Sort(all)
	return all
}

// responseOutcomes returns the codes of a response of the document, with the status
// under which an operation refers to it.
func responseOutcomes(t *testing.T, r *openapi3.Response) (all []outcome) {
	t.Helper()
	schema := r.Content.Get("application/json").Schema.Value
	problem := schema.Properties["error"]
	if problem == nil {
		return nil
	}
	status := 0
	for _, item := range openAPI(t).Paths.Map() {
		for _, op := range item.Operations() {
			for s, ref := range op.Responses.Map() {
				if ref.Value == r {
					status = must(strconv.Atoi(s))
				}
			}
		}
	}
	for _, code := range problem.Value.Properties["code"].Value.Enum {
		all = append(all, outcome{status, code.(string)})
	}
	return all
}

// rejectionsInSource returns the status and code of every literal
// rejectionKind{http.StatusX, "code", ...} in the source of this package.
func rejectionsInSource(t testing.TB) map[outcome]bool {
	t.Helper()
	found := map[outcome]bool{}
	inspect(t, func(n ast.Node) {
		l, ok := n.(*ast.CompositeLit)
		if !ok {
			return
		}
		if name, ok := l.Type.(*ast.Ident); ok && name.Name == "rejectionKind" {
			if code, ok := l.Elts[1].(*ast.BasicLit); ok {
				found[outcome{statusNamed(t, l.Elts[0]), must(strconv.Unquote(code.Value))}] = true
			}
		}
	})
	return found
}

// inspect calls f for every node of this package's source, without its tests.
func inspect(t testing.TB, f func(ast.Node)) {
	t.Helper()
	for _, path := range must(filepath.Glob("*.go")) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool { f(n); return true })
	}
}

// statusNamed returns the value of the expression http.StatusX.
func statusNamed(t testing.TB, e ast.Expr) int {
	t.Helper()
	name := e.(*ast.SelectorExpr).Sel.Name
	for status := 100; status < 600; status++ {
		text := strings.NewReplacer(" ", "", "-", "").Replace(http.StatusText(status))
		if text != "" && name == "Status"+text {
			return status
		}
	}
	t.Fatalf("there is no status %s", name)
	return 0
}

// The document and the code have the same reasons to leave a record out.
func TestDocumentHasEveryReason(t *testing.T) {
	var want []string
	for _, r := range senders.Reasons() {
		want = append(want, string(r))
	}
	inspect(t, func(n ast.Node) {
		v, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(v.Names[0].Name, "left") && len(v.Values) == 1 {
			want = append(want, must(strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)))
		}
	})
	got := slices.Sorted(maps.Keys(openAPI(t).Components.Schemas["LeftOut"].Value.Properties))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the document has %q, the code %q", got, want)
	}
}

// The settings of a business and ingest know the same kinds of senders.
func TestKindsOfIngestAndOfTheSettings(t *testing.T) {
	if here, there := slices.Sorted(slices.Values(senders.Kinds())), business.Kinds(); !slices.Equal(here, there) {
		t.Errorf("ingest has %q, the settings have %q", here, there)
	}
}
