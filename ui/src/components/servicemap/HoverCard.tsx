/** All figures of what is under the pointer, live. */

import { useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react';
import { kindName, podsSentence, protocolsText, servicesText, sideText } from '@/domain/describe';
import { bytesRate, compact, duration, rate, share } from '@/domain/format';
import { isSlow, type Scheme } from '@/domain/latency';
import type { SceneEdge, SceneNode } from '@/domain/map/scene';
import { failedConnects, isTcpOnly, mainFailure, networkOf } from '@/domain/network';
import type { MapDirector } from './director';
import type { Hovered } from './renderer';

const OFFSET = 14;

export function HoverCard({ hovered, director }: { hovered: Hovered; director: MapDirector; scheme: Scheme }) {
  const stage = useSyncExternalStore(director.subscribe, director.stage);
  const card = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState({ left: hovered.x + OFFSET, top: hovered.y + OFFSET });
  useLayoutEffect(() => {
    const element = card.current;
    const area = element?.parentElement;
    if (element === null || area === null || area === undefined) return;
    const left = hovered.x + OFFSET + element.offsetWidth > area.clientWidth ? hovered.x - OFFSET - element.offsetWidth : hovered.x + OFFSET;
    const top = Math.min(hovered.y + OFFSET, area.clientHeight - element.offsetHeight - 8);
    setPlace({ left: Math.max(8, left), top: Math.max(8, top) });
  }, [hovered.x, hovered.y, hovered.id]);

  const nodes = stage?.scene.nodes ?? [];
  const edge = hovered.kind === 'edge' ? stage?.scene.edges.find((each) => each.id === hovered.id) : undefined;
  const node = hovered.kind === 'node' ? nodes.find((each) => each.id === hovered.id) : undefined;
  if (edge === undefined && node === undefined) return null;
  const labelOf = (id: string): string => nodes.find((each) => each.id === id)?.label ?? id;
  return (
    <div ref={card} className="hover-card" role="tooltip" data-testid="hover-card" style={place}>
      {edge !== undefined && <EdgeFacts edge={edge} source={labelOf(edge.source)} target={labelOf(edge.target)} />}
      {node !== undefined && <NodeFacts node={node} />}
    </div>
  );
}

function EdgeFacts({ edge, source, target }: { edge: SceneEdge; source: string; target: string }) {
  const services = servicesText(edge);
  const isMerged = edge.calls.length > 1;
  const isTcp = isTcpOnly(edge);
  const what = isTcp ? 'connect ' : '';
  const out = edge.calls.reduce((sum, call) => sum + call.request_bytes_rate, 0);
  const back = edge.calls.reduce((sum, call) => sum + call.response_bytes_rate, 0);
  return (
    <>
      <b>
        {source} → {target}
      </b>
      <span className="dim">
        {protocolsText(edge)}
        {services !== null && <> via {services}</>}
      </span>
      <dl>
        <Fact name={isTcp ? 'connects' : 'requests'} value={rate(edge.rate)} />
        <Fact name={isMerged ? `worst ${what}p50` : `${what}p50`} value={duration(edge.p50Ns)} />
        <Fact name={isMerged ? `worst ${what}p95` : `${what}p95`} value={duration(edge.p95Ns)} isSlow={isSlow(edge.p95Ns)} />
        {!isTcp && <Fact name={isMerged ? 'worst p99' : 'p99'} value={duration(edge.p99Ns)} isSlow={isSlow(edge.p99Ns)} />}
        {!isTcp && <Fact name="errors" value={share(edge.errorRate)} isBad={edge.errors > 0} />}
        <NetworkFacts edge={edge} />
        <Fact name="bytes out" value={bytesRate(out)} />
        <Fact name="bytes in" value={bytesRate(back)} />
        <Fact name="measured on" value={sideText(edge)} />
        {isMerged && <Fact name="connections of" value={`${edge.calls.length} pairs`} />}
      </dl>
    </>
  );
}

function NetworkFacts({ edge }: { edge: SceneEdge }) {
  const network = networkOf(edge.calls);
  const failed = failedConnects(edge.calls);
  if (network === null) return null;
  return (
    <>
      {(isTcpOnly(edge) || failed > 0) && <Fact name="failed connects" value={failed === 0 ? 'none' : `${compact(failed)} · ${mainFailure(edge.calls) ?? ''}`} isBad={failed > 0} />}
      <Fact name="open connections" value={compact(network.active)} />
      <Fact name="round trip p95" value={duration(network.rtt_p95_ns)} />
    </>
  );
}

function NodeFacts({ node }: { node: SceneNode }) {
  const pods = podsSentence(node.podsReady, node.podsDesired);
  const where = node.room ?? (node.members.length === 1 ? (node.members[0]?.namespace ?? '') : '');
  return (
    <>
      <b>{node.label}</b>
      <span className="dim">{[kindName(node.kind), where === '' ? null : where, pods].filter((part) => part !== null).join(' · ')}</span>
      <dl>
        <Fact name="incoming" value={node.isIdle ? 'idle' : rate(node.rate)} />
        <Fact name="p95" value={duration(node.p95Ns)} isSlow={isSlow(node.p95Ns)} />
        <Fact name="errors" value={share(node.errorRate)} isBad={(node.errorRate ?? 0) >= 0.01} />
      </dl>
    </>
  );
}

function Fact({ name, value, isBad = false, isSlow: isLong = false }: { name: string; value: string; isBad?: boolean; isSlow?: boolean }) {
  return (
    <>
      <dt>{name}</dt>
      <dd className={isBad ? 'bad' : isLong ? 'slow' : undefined}>{value}</dd>
    </>
  );
}
