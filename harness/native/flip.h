/* SPDX-License-Identifier: GPL-2.0-only */
/* A byte that changes all the time, as fast as a processor stores. */
#ifndef KE_FLIP_H
#define KE_FLIP_H

#include <stdint.h>

/* Stores 1, 0, 1, ... into *byte until *over is set; leaves 0 there. How many stores. */
uint64_t ke_flip(uint8_t *byte, const volatile uint32_t *over);

#endif
