/* NVIDIA's management library, found at run time by dlopen("libnvidia-ml.so.1"): what a card is,
 * does and holds at the moment. It makes no CUDA context and takes no memory on the card.
 *
 * What a card, a driver or a container does not tell is not known, and says why; nothing here ends
 * a run. A library that is open may be asked from several threads. */
#ifndef PRONY_MACHINE_NVML_H
#define PRONY_MACHINE_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct nvml;
struct nvml_device;

/* why is a literal: "no permission to ask", to be put after "not available: ". */
struct nvml_value {
    bool known;
    double value;
    const char *why; /* NULL when known */
};

enum nvml_throttle { /* bits of nvml_sample.throttle, as NVML has them */
                     NVML_THROTTLE_POWER_CAP = 0x4,
                     NVML_THROTTLE_HARDWARE = 0x8,
                     NVML_THROTTLE_THERMAL = 0x20,
                     NVML_THROTTLE_THERMAL_HARDWARE = 0x40,
                     NVML_THROTTLE_POWER_BRAKE = 0x80,
                     NVML_THROTTLE_ANY = 0xec /* clocks are lower than the card would have them */
};

/* A moment of a card. */
struct nvml_sample {
    int64_t stamp_ns; /* CLOCK_MONOTONIC, before the first question */
    struct nvml_value used_bytes, power_w, temperature_c, sm_mhz, memory_mhz;
    struct nvml_value energy_j; /* since the driver was loaded: differences count */
    struct nvml_value busy_percent;
    struct nvml_value throttle; /* bits above; others of NVML's may be set as well */
};

/* What a card is. */
struct nvml_facts {
    char name[96], pci[32], uuid[96]; /* "" where unknown */
    char driver[96];                  /* version of the driver, "580.159.04" */
    struct nvml_value cuda_version;   /* that the driver knows: 13000 is 13.0 */
    struct nvml_value total_bytes, sm_max_mhz, memory_max_mhz, power_limit_w;
    struct nvml_value ecc, mig, persistence; /* 0 off, 1 on */
    struct nvml_value pcie_generation, pcie_width, pcie_generation_max;
    struct nvml_value compute_major, compute_minor;
};

enum { NVML_PROCESSES = 128 };

/* Processes on a card. */
struct nvml_processes {
    const char *why; /* NULL: the list is known, if empty */
    size_t count;
    struct {
        pid_t pid;     /* in the system's own namespace: not a container's number */
        int64_t bytes; /* context included; -1 unknown */
    } list[NVML_PROCESSES];
};

/* The error says why there is none: no driver, no permission, a driver that was updated. */
enum status nvml_open(struct nvml **nvml, struct error *err);
void nvml_close(struct nvml *nvml); /* NULL is fine */
uint32_t nvml_count(const struct nvml *nvml);
/* Devices belong to the library and need no closing. */
enum status nvml_device_at(const struct nvml *nvml, uint32_t index, struct nvml_device **device,
                           struct error *err);
/* By the address that the driver gives a card (gpu.h). */
enum status nvml_device_by_pci(const struct nvml *nvml, const char *pci,
                               struct nvml_device **device, struct error *err);
/* Opens the library for that one card; on an error *nvml is NULL. */
enum status nvml_open_card(struct nvml **nvml, const char *pci, struct nvml_device **device,
                           struct error *err);

void nvml_facts_read(const struct nvml *nvml, struct nvml_device *device, struct nvml_facts *facts);
void nvml_sample_read(const struct nvml *nvml, struct nvml_device *device,
                      struct nvml_sample *sample);
/* Those that have a CUDA context. */
void nvml_processes_read(const struct nvml *nvml, struct nvml_device *device,
                         struct nvml_processes *processes);
/* Those that used the card's multiprocessors or memory since a moment (CLOCK_REALTIME), be they
 * gone by now: from the samples that the driver takes by itself, each over up to a second. */
void nvml_users_read(const struct nvml *nvml, struct nvml_device *device, int64_t since_us,
                     struct nvml_processes *users);

enum nvml_policy { NVML_POLICY_POWER = 0, NVML_POLICY_THERMAL = 1 };

/* Seconds since the driver was loaded for which a policy held the clocks down: differences count.
 */
struct nvml_value nvml_held_back_s(const struct nvml *nvml, struct nvml_device *device,
                                   enum nvml_policy policy);
/* A single reading, cheaper than a sample. */
struct nvml_value nvml_used_bytes(const struct nvml *nvml, struct nvml_device *device);
struct nvml_value nvml_energy_j(const struct nvml *nvml, struct nvml_device *device);

/* The set bits that slow a card down, in words: "power cap, thermal"; "" when there are none. */
void nvml_throttle_text(uint64_t throttle, char *text, size_t size);

#endif
