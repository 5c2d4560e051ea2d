/** Every address of the UI. A new page is one route here and one folder beside it. */

import { createRootRoute, createRoute, createRouter, redirect } from '@tanstack/react-router';
import type { QueryClient } from '@tanstack/react-query';
import { parseSearch, stringifySearch } from '@/state/address';
import { clustersQuery } from '@/state/queries';
import { lastCluster } from '@/state/remembered';
import type { Query } from '@/domain/views';
import { AgentsPage } from './agents/AgentsPage';
import { AddClusterPage } from './clusters/AddClusterPage';
import { ClustersPage } from './clusters/ClustersPage';
import { SetupPage } from './clusters/SetupPage';
import { MapPage } from './map/MapPage';
import { RequestsPage } from './requests/RequestsPage';
import { ResourcePage } from './resource/ResourcePage';
import { NotFound, PageFailure } from './shell/Fallbacks';
import { Shell } from './shell/Shell';

const validateSearch = (search: Record<string, unknown>): Query => search as Query;

export function makeRouter(client: QueryClient) {
  const root = createRootRoute({ component: Shell, notFoundComponent: NotFound, errorComponent: PageFailure, validateSearch });
  const home = createRoute({
    getParentRoute: () => root,
    path: '/',
    beforeLoad: async () => {
      const { items } = await client.query(clustersQuery()).catch(() => ({ items: null }));
      if (items === null) throw redirect({ to: '/clusters' });
      const known = items.find((cluster) => cluster.id === lastCluster()) ?? items.find((cluster) => cluster.state === 'connected') ?? items[0];
      if (known === undefined) throw redirect({ to: '/clusters' });
      throw redirect({ to: '/clusters/$clusterId/map', params: { clusterId: known.id } });
    },
  });
  const routeTree = root.addChildren([
    home,
    createRoute({ getParentRoute: () => root, path: '/clusters', component: ClustersPage }),
    createRoute({ getParentRoute: () => root, path: '/clusters/new', component: AddClusterPage }),
    createRoute({ getParentRoute: () => root, path: '/clusters/$clusterId/setup', component: SetupPage }),
    createRoute({ getParentRoute: () => root, path: '/clusters/$clusterId/map', component: MapPage }),
    createRoute({ getParentRoute: () => root, path: '/clusters/$clusterId/requests', component: RequestsPage }),
    createRoute({ getParentRoute: () => root, path: '/clusters/$clusterId/agents', component: AgentsPage }),
    createRoute({ getParentRoute: () => root, path: '/clusters/$clusterId/resource', component: ResourcePage }),
  ]);
  return createRouter({ routeTree, parseSearch: (text) => parseSearch(text), stringifySearch: (search) => stringifySearch(search as Query), defaultPreload: false });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
