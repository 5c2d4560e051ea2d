/** One small sign per kind of node, drawn on a 16 by 16 field; the shape tells the kind where the text is too small. */

const BOX = 'M2.5 4.8 8 2l5.5 2.8v6.4L8 14l-5.5-2.8zM2.5 4.8 8 7.6l5.5-2.8M8 7.6V14';
const DISK = 'M2.8 4c0-1.2 2.3-2.1 5.2-2.1s5.2.9 5.2 2.1-2.3 2.1-5.2 2.1S2.8 5.2 2.8 4zM2.8 4v8c0 1.2 2.3 2.1 5.2 2.1s5.2-.9 5.2-2.1V4M2.8 8c0 1.2 2.3 2.1 5.2 2.1s5.2-.9 5.2-2.1';
const GRID = 'M2.5 2.5h4.5v4.5h-4.5zM9 2.5h4.5v4.5H9zM2.5 9h4.5v4.5h-4.5zM9 9h4.5v4.5H9z';
const CLOCK = 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.7V8l2.3 1.6';
const GLOBE = 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM2 8h12M8 2c-4 3.5-4 8.5 0 12M8 2c4 3.5 4 8.5 0 12';
const TERMINAL = 'M2 3h12v10H2zM4.5 6l2 2-2 2M8 10.3h3.2';
const STACK = 'M2 5.2 8 2l6 3.2-6 3.2zM2 8.1l6 3.2 6-3.2M2 11l6 3.2L14 11';

const GLYPHS: Record<string, string> = {
  Deployment: BOX,
  ReplicaSet: BOX,
  Workload: BOX,
  Pod: BOX,
  Container: BOX,
  StatefulSet: DISK,
  DaemonSet: GRID,
  Job: CLOCK,
  CronJob: CLOCK,
  External: GLOBE,
  Unit: TERMINAL,
  Process: TERMINAL,
  Node: TERMINAL,
  Service: STACK,
  Namespace: STACK,
};

/** The path of a kind's sign; an unknown kind is a box. */
export const glyphOf = (kind: string): string => GLYPHS[kind] ?? BOX;
