/** Connections that carry nothing we understand, by peer and port; and the queues of ports that somebody waits at. */

import { Link } from '@tanstack/react-router';
import type { Resource } from '@/api/client';
import { compact, count, duration, rate } from '@/domain/format';
import { failuresText } from '@/domain/network';
import { cleaned, useClusterId, useRangeQuery } from '@/state/address';

type LinkTo = Resource['links_in'][number];

export function Links({ data }: { data: Resource }) {
  if (data.links_in.length + data.links_out.length === 0) return null;
  return (
    <section aria-label="Other connections">
      <h2>Other connections</h2>
      <table className="details-table">
        <thead>
          <tr>
            <th>With, port</th>
            <th className="num">connects</th>
            <th className="num">failed</th>
            <th className="num">open</th>
            <th className="num">round trip</th>
          </tr>
        </thead>
        <tbody>
          {data.links_in.map((link) => (
            <LinkRow key={`in ${link.peer.id} ${link.port}`} link={link} direction="from" />
          ))}
          {data.links_out.map((link) => (
            <LinkRow key={`out ${link.peer.id} ${link.port}`} link={link} direction="to" />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function LinkRow({ link, direction }: { link: LinkTo; direction: 'from' | 'to' }) {
  const cluster = useClusterId();
  const range = useRangeQuery();
  const { network } = link;
  return (
    <tr>
      <td>
        <span className="faint">{direction} </span>
        <Link to="/clusters/$clusterId/map" params={{ clusterId: cluster }} search={cleaned({ ...range, node: link.peer.id })}>
          {link.peer.name}
        </Link>
        <span className="faint"> {link.service === '' ? `:${link.port}` : `via ${link.service}:${link.port}`}</span>
      </td>
      <td className="num">{rate(network.rate)}</td>
      <td className={network.failed > 0 ? 'num bad' : 'num'}>{network.failed === 0 ? '0' : failuresText(network.failures)}</td>
      <td className="num">{compact(network.active)}</td>
      <td className="num">{duration(network.rtt_mean_ns)}</td>
    </tr>
  );
}

export function ListeningPorts({ ports }: { ports: Resource['listening'] }) {
  if (ports.length === 0) return null;
  return (
    <section aria-label="Accept queues">
      <h2>Accept queues</h2>
      <table className="details-table">
        <thead>
          <tr>
            <th>Port</th>
            <th className="num">dropped</th>
            <th className="num">longest queue</th>
            <th className="num">room</th>
          </tr>
        </thead>
        <tbody>
          {ports.map(({ port, dropped, waiting, waiting_max: room }) => (
            <tr key={port}>
              <td>{port}</td>
              <td className={dropped > 0 ? 'num bad' : 'num'}>{count(dropped)}</td>
              <td className="num">{count(waiting)}</td>
              <td className="num">{count(room)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
