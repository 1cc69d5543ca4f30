/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pages: touches one word of each page of a range, over and over.
 *
 * Phases: 1 before the first page of each pass.
 * Data in:  data[0] address of the first page; data[1] pages (0: none, it only polls);
 *           data[2] 0: store the heartbeat, 1: load. Read anew at each pass (data[2]: each page).
 *           data[5] 1: say sync after each page. Read anew at each page.
 * Data out: data[3] the word loaded last; data[4] passes done.
 * Registers: s3 the page's address, s4 the pages left, s5 the bytes of a page.
 * Heartbeat: + 1 after each page.
 * Leaves: when the stop word is set, after each page.
 */
#include "program.inc"

	PROGRAM_BEGINS
start:
	SET_UP
	li	s1, SYNC_WORD
	li	s5, 0x1000
pass:
	ENTER_PHASE 1
	POLL_STOP
	ld	s3, WORD(DATA_WORD(0))
	ld	s4, WORD(DATA_WORD(1))
	beqz	s4, pass
page:
	ld	t2, WORD(DATA_WORD(2))
	li	t1, 1
	beq	t2, t1, load
	ld	a0, WORD(HEARTBEAT)
	sd	a0, 0(s3)
	j	touched
load:
	ld	a0, 0(s3)
	sd	a0, WORD(DATA_WORD(3))
touched:
	BEAT
	ld	t2, WORD(DATA_WORD(5))
	li	t1, 1
	bne	t2, t1, stay
	sw	t2, 0(s1)
stay:
	POLL_STOP
	add	s3, s3, s5
	addi	s4, s4, -1
	bnez	s4, page
	COUNT	DATA_WORD(4)
	j	pass

	LEAVE
