/** The first step of adding a cluster: its name. */

import { Button, TextInput } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { useState, type SubmitEvent } from 'react';
import { ApiError } from '@/api/errors';
import { useAddCluster } from '@/state/queries';
import './clusters.css';

export function AddClusterPage() {
  return (
    <div className="first-run">
      <h1>Add a cluster</h1>
      <p className="dim">A Kubernetes cluster, or a single machine. The next page has the one command that connects it.</p>
      <AddClusterForm />
    </div>
  );
}

export function AddClusterForm() {
  const [name, setName] = useState('');
  const add = useAddCluster();
  const navigate = useNavigate();
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    add.mutate(name.trim(), { onSuccess: (cluster) => void navigate({ to: '/clusters/$clusterId/setup', params: { clusterId: cluster.id } }) });
  };
  return (
    <form className="add-form" onSubmit={submit}>
      <TextInput label="Name" placeholder="shop-prod" autoFocus value={name} onChange={(event) => setName(event.currentTarget.value)} error={problemText(add.error)} />
      <Button type="submit" loading={add.isPending} disabled={name.trim() === ''}>
        Save and show instructions
      </Button>
    </form>
  );
}

/** What was wrong with the name, and what to do. */
function problemText(error: Error | null): string | null {
  if (error === null) return null;
  return error instanceof ApiError && error.remedy !== null && error.remedy !== '' ? `${error.message}: ${error.remedy}` : error.message;
}
