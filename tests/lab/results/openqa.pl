# SPDX-License-Identifier: GPL-2.0-only
#
# openqa.pl PARSER FILE: what openQA's own parser finds in a file, as JSON: the result of each suite
# and of each of its steps.

use strict;
use warnings;
use lib '/usr/share/openqa/lib';
use Mojo::JSON qw(encode_json);
use OpenQA::Parser qw(parser);

my $parser = parser($ARGV[0]);
$parser->load($ARGV[1]);
my @suites;
$parser->results->each(
    sub {
        my $suite = shift;
        push @suites, {result => $suite->{result}, steps => [map { $_->{result} } @{$suite->{details}}]};
    }
);
print encode_json(\@suites), "\n";
