// Package host loads checker packages and runs them.
//
//	rt, err := host.New(
//		host.WithCapabilities(capability.Network()...),
//		host.WithUnsigned(), // or WithVerifier: somebody must vouch for a package
//	)
//	defer rt.Close(context.Background())
//
//	pkg, err := manifest.ReadPackage(os.DirFS("http-check"))
//	plugin, err := rt.Load(ctx, pkg, host.WithGrant(grant))
//	res, err := plugin.Run(ctx, map[string]any{"url": "https://example.com/"})
//
// # Lifecycle
//
// New opens nothing. Load runs no guest code: it checks the package, narrows
// what the manifest asks for by what the operator grants, compiles once per
// content and links. Run makes a fresh instance, calls the entrypoint and frees
// everything the run opened, however it ends. Plugin.Close waits for its runs;
// Runtime.Close stops them.
//
// # Concurrency
//
// A Runtime and a Plugin are safe for concurrent use. Runs share nothing but
// compiled code. A run uses the goroutine that called Run.
//
// # Errors
//
// Run always returns a Result. Its error is non-nil exactly when the host made
// that Result itself, which is then UNKNOWN; a check that reports CRITICAL is
// no error. errors.Is tells the reasons apart:
//
//	ErrNoResult          the guest ended without submitting
//	ErrInvalidResult     what it submitted was refused; joins *result.Issue
//	ErrTrap              a Wasm trap or a panic of a host function; *TrapError
//	ErrExit              proc_exit with a code other than 0; *ExitError
//	ErrTimeout           Limits.Wall or the deadline of ctx; also context.DeadlineExceeded
//	ErrCPULimit          Limits.CPU; also *limits.ExceededError
//	context.Canceled     ctx was cancelled
//	ErrInvalidConfig     the config is no JSON, or the schema refuses it; nothing ran
//	limits.ErrAdmission  the Budget had no room before ctx ended; nothing ran
//	ErrClosed            the Plugin or the Runtime was closed
//
// Load fails with ErrUnverified, ErrInvalidModule, ErrClosed, or errors of
// package manifest; it joins every problem that it can see at one time.
package host
