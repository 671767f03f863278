package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/abi"
)

// env is one host module "env". Plugins with equal bindings share it, for its
// functions find everything about a run through ctx.
type env struct {
	key    string
	module api.Module // nil where nothing is imported
	code   wazero.CompiledModule
	users  int // under Engine.mu
}

// env returns the host module for bindings, making it on first use.
func (e *Engine) env(bindings []abi.Binding) (*env, error) {
	var key strings.Builder
	for _, b := range bindings {
		fmt.Fprintf(&key, "%q %v %d\n", b.Name, b.Type, b.Code)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	if v, ok := e.envs[key.String()]; ok {
		v.users++
		return v, nil
	}
	v := &env{key: key.String(), users: 1}
	if len(bindings) > 0 {
		b := e.rt.NewHostModuleBuilder(abi.ModuleEnv)
		for i, bind := range bindings {
			b.NewFunctionBuilder().
				WithGoModuleFunction(abi.Trampoline(i, bind), bind.Type.Params, bind.Type.Results).
				Export(bind.Name)
		}
		var err error
		if v.module, v.code, err = e.anonymous(context.Background(), b); err != nil {
			return nil, err
		}
	}
	e.envs[v.key] = v
	return v, nil
}

func (e *Engine) releaseEnv(v *env) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v.users--
	if v.users > 0 {
		return
	}
	delete(e.envs, v.key)
	if v.module != nil && !e.closed {
		// A host module holds nothing that could fail to close.
		_ = v.module.Close(context.Background())
		_ = v.code.Close(context.Background())
	}
}
