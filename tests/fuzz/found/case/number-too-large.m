function mpc = units
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [  % comment
  9223372036854775808 3 0 0 0 0 1 1 0 230 1 1.1 0.9;
  2 1 100 0 0 0 1 1 0 230 1 1.1 0.9;
  10 4 0 0 0 0 1 1 0 230 1 1.1 0.9;
];
mpc.gen = [
  1 150 0 99 -99 1 100 1 300 1e-320;
];
mpc.branch = [
  1 2 0 0.1 0 200 0 0 0 0 1;
  1 2 0 0.3 0 200 0 0 0 0 1;
];
mpc.dcline = [
  1 2 1 10 9.9 0 0 1 1 1 20 0 0 0 0 0.1 0.01;
];
%% convert branch impedances from Ohms to p.u.
[PQ, PV, REF, NONE, BUS_I, BUS_TYPE, PD] = idx_bus;
Vbase = mpc.bus(1, BASE_KV) * 1e3;
Sbase = mpc.baseMVA * 1e6;
mpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase) * 1e6;
mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e0;
pf = 0.9;
mpc.gen(1, PMAX) = 2 * sin(acos(pf)) * 300;
%{
a comment
%}
mpc.bus_name = {
  'one % no comment';
  'two';
  'it''s three';
};
mpc.genfuel = {'gas'};
