/* load-engine ENGINE.so: a worker whose engine is a shared object, for engines that are compiled on
 * the user's machine against the library they stand on. The object needs nothing but
 * prony/worker.h; it has
 *
 *     const struct prony_engine *prony_engine_open(void);
 */
#include <dlfcn.h>
#include <stdio.h>

#include <prony/worker.h>

typedef const struct prony_engine *engine_open(void);

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: load-engine ENGINE.so\n");
        return 2;
    }
    void *object = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    engine_open *open = object ? (engine_open *)dlsym(object, "prony_engine_open") : NULL;
    if (!open) {
        fprintf(stderr, "load-engine: %s\n", dlerror());
        return 2;
    }
    return prony_worker_main(open());
}
