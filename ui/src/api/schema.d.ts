/** Generated from the server's OpenAPI by `npm run generate`; not edited by hand. */

export interface paths {
    "/api/v1/clusters": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List Clusters
         * @description All clusters.
         */
        get: operations["listClusters"];
        put?: never;
        /**
         * Add Cluster
         * @description Add a cluster; the answer has the commands that connect it.
         */
        post: operations["addCluster"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/clusters/{cluster_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get Cluster
         * @description One cluster with the commands that connect it.
         */
        get: operations["getCluster"];
        put?: never;
        post?: never;
        /**
         * Remove Cluster
         * @description Forget a cluster: its key stops working at once, its telemetry ages out of the store.
         */
        delete: operations["removeCluster"];
        options?: never;
        head?: never;
        /**
         * Rename Cluster
         * @description Give a cluster another name.
         */
        patch: operations["renameCluster"];
        trace?: never;
    };
    "/api/v1/clusters/{cluster_id}/agents/{agent_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get Agent
         * @description One agent: what it costs, what it lost, what it cannot do, what its governor gave up.
         */
        get: operations["getAgent"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/clusters/{cluster_id}/edges/{edge_id}/network": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get Edge Network
         * @description The connections under one edge: connects and failures, round trips, retransmits, resets.
         */
        get: operations["getEdgeNetwork"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/clusters/{cluster_id}/edges/{edge_id}/series": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get Edge Series
         * @description One edge over time.
         */
        get: operations["getEdgeSeries"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/clusters/{cluster_id}/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Follow Cluster
         * @description Server-sent events named `data` with `{"newest_ms": ...}`, at most one a second, when telemetry arrived.
         */
        get: operations["followCluster"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/clusters/{cluster_id}/manifest.yaml": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get Manifest
         * @description The agent's manifest for `kubectl apply -f -`, with this cluster's id and key.
         */
        get: operations["getManifest"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/clusters/{cluster_id}/map": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get Map
         * @description The service map.
         */
        get: operations["getMap"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/clusters/{cluster_id}/quality": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get Quality
         * @description How far the data can be trusted right now.
         */
        get: operations["getQuality"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/clusters/{cluster_id}/requests": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List Requests
         * @description Single requests, newest first.
         */
        get: operations["listRequests"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/clusters/{cluster_id}/resources/{resource_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get Resource
         * @description One workload: what it serves and whom it calls.
         */
        get: operations["getResource"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/ingest/{table}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Ingest
         * @description Store one batch of one table; 200 means stored, and a repetition of the same sequence changes nothing.
         */
        post: operations["ingest"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get Health
         * @description 200 when the store answers, 503 when it does not.
         */
        get: operations["getHealth"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get Metrics
         * @description The server's own metrics in the Prometheus text format.
         */
        get: operations["getMetrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * Accepted
         * @description The acknowledgement: these rows are stored.
         */
        Accepted: {
            /** Accepted */
            accepted: number;
        };
        /**
         * AgentDetails
         * @description Everything about one agent; `steps` and `series` are of the asked range, the newest step first.
         */
        AgentDetails: {
            agent: components["schemas"]["AgentQuality"];
            /** Features */
            features: components["schemas"]["AgentFeature"][];
            /** Losses */
            losses: components["schemas"]["Loss"][];
            /** Programs */
            programs: components["schemas"]["ProgramCost"][];
            series: components["schemas"]["AgentSeries"];
            /** Steps */
            steps: components["schemas"]["GovernorStep"][];
        };
        /**
         * AgentFeature
         * @description One thing that an agent does: on, reduced, off or unused, and why.
         */
        AgentFeature: {
            /** Name */
            name: string;
            /** Reason */
            reason: string;
            /** State */
            state: string;
        };
        /**
         * AgentQuality
         * @description What one agent says of its own work in the last 15 minutes.
         *
         *     `lost` counts requests that are missing from counts, by cause; `reduced` such as are counted but missing from the
         *     request list, or poorer there; `sampled` such as were left out of the list on purpose. `level` is what its governor
         *     gave up ("full": nothing), `missing` the features that are off or reduced, `unseen` processes of which some traffic
         *     cannot be seen, by command. `bpf_cores` is what its programs take in the kernel.
         */
        AgentQuality: {
            /** Bpf Cores */
            bpf_cores: number | null;
            /** Cpu Cores */
            cpu_cores: number | null;
            /** Event Rate */
            event_rate: number | null;
            /** Export Error */
            export_error: string;
            /** Exported */
            exported: number;
            /** Id */
            id: string;
            /** Lag Ms */
            lag_ms: number;
            /** Last Seen Ms */
            last_seen_ms: number;
            /** Level */
            level: string;
            /** Lost */
            lost: {
                [key: string]: number;
            };
            /** Missing */
            missing: string[];
            /** Node */
            node: string;
            /** Queue Bytes */
            queue_bytes: number;
            /** Reduced */
            reduced: {
                [key: string]: number;
            };
            /** Rss Bytes */
            rss_bytes: number;
            /** Sample Every */
            sample_every: number;
            /** Sampled */
            sampled: number;
            /** Seen */
            seen: number;
            /** Seen Rate */
            seen_rate: number | null;
            /** Spool Bytes */
            spool_bytes: number;
            /** Started Ms */
            started_ms: number;
            /** Unseen */
            unseen: {
                [key: string]: number;
            };
            /** Version */
            version: string;
        };
        /**
         * AgentSeries
         * @description An agent's figures over time; None stands where nothing is known.
         */
        AgentSeries: {
            /** Bpf Cores */
            bpf_cores: (number | null)[];
            /** Cpu Cores */
            cpu_cores: (number | null)[];
            /** Lag Ms */
            lag_ms: (number | null)[];
            /** Rss Bytes */
            rss_bytes: (number | null)[];
            /** Seen Rate */
            seen_rate: (number | null)[];
            /** Step Ms */
            step_ms: number;
            /** Times Ms */
            times_ms: number[];
        };
        /**
         * Cluster
         * @description A monitored cluster: waiting (never heard of), connected, or silent (not heard of for half a minute).
         */
        Cluster: {
            /** Agents */
            agents: number;
            /** Created Ms */
            created_ms: number;
            /** Id */
            id: string;
            /** Last Seen Ms */
            last_seen_ms: number | null;
            /** Name */
            name: string;
            /**
             * State
             * @enum {string}
             */
            state: "waiting" | "connected" | "silent";
        };
        /**
         * ClusterList
         * @description All clusters, oldest first; `notice` is what the operator wants every reader to know.
         */
        ClusterList: {
            /** Items */
            items: components["schemas"]["Cluster"][];
            /** Notice */
            notice: string;
        };
        /**
         * ClusterName
         * @description What a person chooses when adding or renaming a cluster.
         */
        ClusterName: {
            /** Name */
            name: string;
        };
        /**
         * ClusterWithInstall
         * @description A cluster with what its agents need.
         */
        ClusterWithInstall: {
            /** Agents */
            agents: number;
            /** Created Ms */
            created_ms: number;
            /** Id */
            id: string;
            install: components["schemas"]["Install"];
            /** Last Seen Ms */
            last_seen_ms: number | null;
            /** Name */
            name: string;
            /**
             * State
             * @enum {string}
             */
            state: "waiting" | "connected" | "silent";
        };
        /**
         * Edge
         * @description Who calls whom by which protocol, as the chosen side saw it.
         *
         *     Where no protocol was recognised the protocol is "tcp": then count and rate are of connects, errors are failed
         *     ones and the quantiles are of the time a connect took. `network` is None where no agent reported connections.
         */
        Edge: {
            /** Count */
            count: number;
            /** Error Rate */
            error_rate: number;
            /** Errors */
            errors: number;
            /** First Ms */
            first_ms: number;
            /** Id */
            id: string;
            /** Is Tls */
            is_tls: boolean;
            /** Last Ms */
            last_ms: number;
            network: components["schemas"]["EdgeNetwork"] | null;
            /** P50 Ns */
            p50_ns: number | null;
            /** P95 Ns */
            p95_ns: number | null;
            /** P99 Ns */
            p99_ns: number | null;
            /** Protocol */
            protocol: string;
            /** Rate */
            rate: number;
            /** Request Bytes */
            request_bytes: number;
            /** Request Bytes Rate */
            request_bytes_rate: number;
            /** Response Bytes */
            response_bytes: number;
            /** Response Bytes Rate */
            response_bytes_rate: number;
            /** Services */
            services: components["schemas"]["ServicePort"][];
            /**
             * Side
             * @enum {string}
             */
            side: "client" | "server";
            /** Source */
            source: string;
            /** Target */
            target: string;
        };
        /**
         * EdgeNetwork
         * @description What the connections of an edge did.
         *
         *     `active` is how many were open on average; `failures` counts failed connects by cause, `cancelled` ones that the
         *     client gave up at once; bytes are payload by who sent them; `segments` and `retransmits` are those of both ends as
         *     far as they are watched.
         */
        EdgeNetwork: {
            /** Active */
            active: number;
            /** Cancelled */
            cancelled: number;
            /** Client Bytes */
            client_bytes: number;
            /** Client Bytes Rate */
            client_bytes_rate: number;
            /** Client Resets */
            client_resets: number;
            /** Closed */
            closed: number;
            /** Connect P50 Ns */
            connect_p50_ns: number | null;
            /** Connect P95 Ns */
            connect_p95_ns: number | null;
            /** Connect P99 Ns */
            connect_p99_ns: number | null;
            /** Failed */
            failed: number;
            /** Failures */
            failures: {
                [key: string]: number;
            };
            /** First Ms */
            first_ms: number;
            /** Last Ms */
            last_ms: number;
            /** Opened */
            opened: number;
            /** Rate */
            rate: number;
            /** Retransmit Share */
            retransmit_share: number | null;
            /** Retransmits */
            retransmits: number;
            /** Rtt Mean Ns */
            rtt_mean_ns: number | null;
            /** Rtt P95 Ns */
            rtt_p95_ns: number | null;
            /** Segments */
            segments: number;
            /** Server Bytes */
            server_bytes: number;
            /** Server Bytes Rate */
            server_bytes_rate: number;
            /** Server Resets */
            server_resets: number;
        };
        /**
         * EndpointStatistics
         * @description One endpoint or statement of an edge; `fingerprint` is its template's.
         */
        EndpointStatistics: {
            /** Count */
            count: number;
            /** Error Rate */
            error_rate: number;
            /** Errors */
            errors: number;
            /** Fingerprint */
            fingerprint: string;
            /** Latency Sum Ns */
            latency_sum_ns: number;
            /** Method */
            method: string;
            /** P50 Ns */
            p50_ns: number | null;
            /** P95 Ns */
            p95_ns: number | null;
            /** P99 Ns */
            p99_ns: number | null;
            /** Rate */
            rate: number;
            /** Statuses */
            statuses: {
                [key: string]: number;
            };
            /** Template */
            template: string;
        };
        /**
         * EntityName
         * @description A workload by name; `id` is kind/namespace/name.
         */
        EntityName: {
            /** Id */
            id: string;
            /** Kind */
            kind: string;
            /** Name */
            name: string;
            /** Namespace */
            namespace: string;
        };
        /**
         * ErrorBody
         * @description The body of every answer with status 400 or above.
         */
        ErrorBody: {
            error: components["schemas"]["ErrorDetail"];
        };
        /**
         * ErrorDetail
         * @description What was wrong: the field, its value, what is the matter, and what to do.
         */
        ErrorDetail: {
            /** Field */
            field: string;
            /** Message */
            message: string;
            /** Remedy */
            remedy: string;
            /** Value */
            value: string;
        };
        /**
         * GovernorStep
         * @description Detail that an agent's governor gave up or took back, and why.
         */
        GovernorStep: {
            /** After */
            after: string;
            /** Before */
            before: string;
            /** Cause */
            cause: string;
            /** Time Ms */
            time_ms: number;
        };
        /**
         * Health
         * @description Whether the server can do its work; `lag_ms` is the age of the newest telemetry of any cluster.
         */
        Health: {
            /** Lag Ms */
            lag_ms: number | null;
            /** Ok */
            ok: boolean;
            /** Store */
            store: string;
            /** Store Ok */
            store_ok: boolean;
            /** Store Version */
            store_version: string;
            /** Version */
            version: string;
        };
        /**
         * Install
         * @description Ready-to-copy instructions for one cluster.
         */
        Install: {
            /** Helm */
            helm: string;
            /** Host */
            host: string;
            /** Key */
            key: string;
            /** Kubectl */
            kubectl: string;
            /** Monitoring Id */
            monitoring_id: string;
            /** Server Url */
            server_url: string;
        };
        /**
         * Link
         * @description Connections with one workload at the other end, on a port where no protocol was recognised.
         */
        Link: {
            network: components["schemas"]["EdgeNetwork"];
            peer: components["schemas"]["EntityName"];
            /** Port */
            port: number;
            /** Service */
            service: string;
            /**
             * Side
             * @enum {string}
             */
            side: "client" | "server";
        };
        /**
         * ListeningPort
         * @description A port whose queue held or dropped connections: `waiting` is the longest queue seen, `waiting_max` its limit.
         */
        ListeningPort: {
            /** Dropped */
            dropped: number;
            /** Port */
            port: number;
            /** Waiting */
            waiting: number;
            /** Waiting Max */
            waiting_max: number;
        };
        /**
         * Loss
         * @description Requests of the last 15 minutes that went missing by one cause; `effect` is counts, detail or choice.
         */
        Loss: {
            /** Cause */
            cause: string;
            /** Count */
            count: number;
            /** Effect */
            effect: string;
            /** Meaning */
            meaning: string;
        };
        /**
         * Map
         * @description The service map of a time range; `from_ms` and `to_ms` are what the figures really cover.
         */
        Map: {
            /** Edges */
            edges: components["schemas"]["Edge"][];
            /** From Ms */
            from_ms: number;
            /** Newest Ms */
            newest_ms: number | null;
            /** Nodes */
            nodes: components["schemas"]["Node"][];
            /** To Ms */
            to_ms: number;
        };
        /**
         * NetworkDetails
         * @description The network under one edge; `total` is None where no connection of it was seen in the range.
         */
        NetworkDetails: {
            /** From Ms */
            from_ms: number;
            /** Ports */
            ports: components["schemas"]["NetworkPort"][];
            series: components["schemas"]["NetworkSeries"];
            /** To Ms */
            to_ms: number;
            total: components["schemas"]["EdgeNetwork"] | null;
        };
        /**
         * NetworkPort
         * @description One port of an edge, as the side saw it that saw more.
         */
        NetworkPort: {
            network: components["schemas"]["EdgeNetwork"];
            /** Port */
            port: number;
            /** Service */
            service: string;
            /**
             * Side
             * @enum {string}
             */
            side: "client" | "server";
        };
        /**
         * NetworkSeries
         * @description An edge's connections over time; as in `Series`, None stands where nothing is known.
         */
        NetworkSeries: {
            /** Active */
            active: (number | null)[];
            /** Client Bytes Rate */
            client_bytes_rate: (number | null)[];
            /** Connect P95 Ns */
            connect_p95_ns: (number | null)[];
            /** Failed Rate */
            failed_rate: (number | null)[];
            /** Opened Rate */
            opened_rate: (number | null)[];
            /** Retransmit Rate */
            retransmit_rate: (number | null)[];
            /** Rtt P95 Ns */
            rtt_p95_ns: (number | null)[];
            /** Server Bytes Rate */
            server_bytes_rate: (number | null)[];
            /** Step Ms */
            step_ms: number;
            /** Times Ms */
            times_ms: number[];
        };
        /**
         * Node
         * @description One workload on the map; the `_in` figures are of what it serves.
         */
        Node: {
            /** Error Rate In */
            error_rate_in: number | null;
            /** Id */
            id: string;
            /** Is Idle */
            is_idle: boolean;
            /** Kind */
            kind: string;
            /** Name */
            name: string;
            /** Namespace */
            namespace: string;
            /** P95 In Ns */
            p95_in_ns: number | null;
            /** Pods Desired */
            pods_desired: number | null;
            /** Pods Ready */
            pods_ready: number | null;
            /** Rate In */
            rate_in: number;
        };
        /**
         * Peer
         * @description One workload at the other end, by protocol and Service, with its endpoints, the costliest first.
         */
        Peer: {
            /** Count */
            count: number;
            /** Endpoints */
            endpoints: components["schemas"]["EndpointStatistics"][];
            /** Error Rate */
            error_rate: number;
            /** Errors */
            errors: number;
            /** P50 Ns */
            p50_ns: number | null;
            /** P95 Ns */
            p95_ns: number | null;
            /** P99 Ns */
            p99_ns: number | null;
            peer: components["schemas"]["EntityName"];
            /** Port */
            port: number;
            /** Protocol */
            protocol: string;
            /** Rate */
            rate: number;
            /** Service */
            service: string;
        };
        /**
         * PodState
         * @description One pod of a workload.
         */
        PodState: {
            /** Ip */
            ip: string;
            /** Name */
            name: string;
            /** Node */
            node: string;
            /** Phase */
            phase: string;
        };
        /**
         * ProgramCost
         * @description One of an agent's programs in the kernel and the cores it takes.
         */
        ProgramCost: {
            /** Cores */
            cores: number;
            /** Name */
            name: string;
        };
        /**
         * Quality
         * @description How far the data can be trusted right now; `lost`, `reduced` and `sampled` count the last 15 minutes.
         */
        Quality: {
            /** Agents */
            agents: components["schemas"]["AgentQuality"][];
            /** Agents Connected */
            agents_connected: number;
            /** Agents Expected */
            agents_expected: number;
            /** Is Exact */
            is_exact: boolean;
            /** Lag Ms */
            lag_ms: number | null;
            /** Lost */
            lost: number;
            /** Newest Ms */
            newest_ms: number | null;
            /** Reduced */
            reduced: number;
            /** Sampled */
            sampled: number;
        };
        /**
         * RequestEnd
         * @description One end of a request.
         */
        RequestEnd: {
            /** Id */
            id: string;
            /** Ip */
            ip: string;
            /** Kind */
            kind: string;
            /** Name */
            name: string;
            /** Namespace */
            namespace: string;
            /** Pod */
            pod: string;
            /** Service */
            service: string;
        };
        /**
         * RequestPage
         * @description Requests, the newest first; `next_cursor` continues where this page ends.
         */
        RequestPage: {
            /** Items */
            items: components["schemas"]["RequestRecord"][];
            /** Next Cursor */
            next_cursor: string | null;
        };
        /**
         * RequestRecord
         * @description One request; `weight` is how many like it this row stands for.
         *
         *     `latency_ns` runs to the first byte of the response, `transfer_ns` from there to its last (0: not known or at once).
         *
         *     `fingerprint` is the template's, `raw` the path or statement with its values, empty unless the agent was told to
         *     send it.
         */
        RequestRecord: {
            /** Client Port */
            client_port: number;
            /** Command */
            command: string;
            /** Fingerprint */
            fingerprint: string;
            /** Is Error */
            is_error: boolean;
            /** Is Tls */
            is_tls: boolean;
            /** Latency Ns */
            latency_ns: number;
            /** Method */
            method: string;
            /** Pid */
            pid: number;
            /** Protocol */
            protocol: string;
            /** Raw */
            raw: string;
            /** Request Bytes */
            request_bytes: number;
            /** Response Bytes */
            response_bytes: number;
            /**
             * Role
             * @enum {string}
             */
            role: "client" | "server";
            /** Server Port */
            server_port: number;
            source: components["schemas"]["RequestEnd"];
            /** Status */
            status: string;
            target: components["schemas"]["RequestEnd"];
            /** Template */
            template: string;
            /** Time Ms */
            time_ms: number;
            /** Transfer Ns */
            transfer_ns: number;
            /** Weight */
            weight: number;
        };
        /**
         * Resource
         * @description A workload with its pods.
         */
        Resource: {
            /** Error Rate In */
            error_rate_in: number | null;
            /** Id */
            id: string;
            /** Is Idle */
            is_idle: boolean;
            /** Kind */
            kind: string;
            /** Name */
            name: string;
            /** Namespace */
            namespace: string;
            /** P95 In Ns */
            p95_in_ns: number | null;
            /** Pods */
            pods: components["schemas"]["PodState"][];
            /** Pods Desired */
            pods_desired: number | null;
            /** Pods Ready */
            pods_ready: number | null;
            /** Rate In */
            rate_in: number;
        };
        /**
         * ResourceDetails
         * @description Everything about one workload in a time range; `series` is of what it served.
         *
         *     `links_*` are the connections that belong to none of the peers; `listening` are ports with something to tell.
         */
        ResourceDetails: {
            /** From Ms */
            from_ms: number;
            /** Incoming */
            incoming: components["schemas"]["Peer"][];
            /** Links In */
            links_in: components["schemas"]["Link"][];
            /** Links Out */
            links_out: components["schemas"]["Link"][];
            /** Listening */
            listening: components["schemas"]["ListeningPort"][];
            /** Newest Ms */
            newest_ms: number | null;
            /** Outgoing */
            outgoing: components["schemas"]["Peer"][];
            resource: components["schemas"]["Resource"];
            series: components["schemas"]["Series"];
            summary: components["schemas"]["Summary"];
            /** To Ms */
            to_ms: number;
        };
        /**
         * Series
         * @description Figures over time; `times_ms` are the beginnings of the steps, None stands where nothing is known.
         */
        Series: {
            /** Error Rate */
            error_rate: (number | null)[];
            /** P50 Ns */
            p50_ns: (number | null)[];
            /** P95 Ns */
            p95_ns: (number | null)[];
            /** P99 Ns */
            p99_ns: (number | null)[];
            /** Rate */
            rate: (number | null)[];
            /** Request Bytes Rate */
            request_bytes_rate: (number | null)[];
            /** Response Bytes Rate */
            response_bytes_rate: (number | null)[];
            /** Step Ms */
            step_ms: number;
            /** Times Ms */
            times_ms: number[];
        };
        /**
         * ServicePort
         * @description A Service (empty when the address was used directly) and port through which an edge runs.
         */
        ServicePort: {
            /** Name */
            name: string;
            /** Port */
            port: number;
        };
        /**
         * Summary
         * @description All that a workload served in the range.
         */
        Summary: {
            /** Count */
            count: number;
            /** Error Rate */
            error_rate: number | null;
            /** Errors */
            errors: number;
            /** P50 Ns */
            p50_ns: number | null;
            /** P95 Ns */
            p95_ns: number | null;
            /** P99 Ns */
            p99_ns: number | null;
            /** Rate */
            rate: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    listClusters: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ClusterList"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    addCluster: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ClusterName"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ClusterWithInstall"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    getCluster: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ClusterWithInstall"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    removeCluster: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    renameCluster: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ClusterName"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ClusterWithInstall"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    getAgent: {
        parameters: {
            query?: {
                /** @description Unix ms, now or now-15m */
                from?: string;
                /** @description Unix ms, now or now-15m */
                to?: string;
            };
            header?: never;
            path: {
                agent_id: string;
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AgentDetails"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    getEdgeNetwork: {
        parameters: {
            query?: {
                points?: number;
                /** @description Unix ms, now or now-15m */
                from?: string;
                /** @description Unix ms, now or now-15m */
                to?: string;
            };
            header?: never;
            path: {
                edge_id: string;
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NetworkDetails"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    getEdgeSeries: {
        parameters: {
            query?: {
                points?: number;
                /** @description Unix ms, now or now-15m */
                from?: string;
                /** @description Unix ms, now or now-15m */
                to?: string;
            };
            header?: never;
            path: {
                edge_id: string;
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Series"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    followCluster: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": unknown;
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    getManifest: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/yaml": unknown;
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    getMap: {
        parameters: {
            query?: {
                /** @description Unix ms, now or now-15m */
                from?: string;
                /** @description Unix ms, now or now-15m */
                to?: string;
            };
            header?: never;
            path: {
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Map"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    getQuality: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Quality"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    listRequests: {
        parameters: {
            query?: {
                source?: string;
                target?: string;
                /** @description id of the workload at either end */
                resource?: string;
                protocol?: string;
                status?: string;
                method?: string;
                /** @description stands in the path or statement, any case */
                text?: string;
                /** @description fingerprint of the template */
                fingerprint?: string;
                min_latency_ns?: number;
                errors_only?: boolean;
                limit?: number;
                cursor?: string;
                /** @description Unix ms, now or now-15m */
                from?: string;
                /** @description Unix ms, now or now-15m */
                to?: string;
            };
            header?: never;
            path: {
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RequestPage"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    getResource: {
        parameters: {
            query?: {
                /** @description Unix ms, now or now-15m */
                from?: string;
                /** @description Unix ms, now or now-15m */
                to?: string;
            };
            header?: never;
            path: {
                resource_id: string;
                cluster_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ResourceDetails"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    ingest: {
        parameters: {
            query?: never;
            header?: {
                authorization?: string;
                "osmia-cluster"?: string;
                "osmia-agent"?: string;
                "osmia-sequence"?: string;
            };
            path: {
                table: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    getHealth: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    getMetrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": unknown;
                };
            };
            /** @description What was wrong and what to do */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
}
