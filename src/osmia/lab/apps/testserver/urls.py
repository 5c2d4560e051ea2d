"""Which path goes to which view."""

from __future__ import annotations

from django.urls import path

from osmia.lab.apps.testserver import views

urlpatterns = [
    path("healthz", views.healthz),
    path("currencies/", views.currencies),
    path("exchange_rate/<str:source>/<str:target>/", views.exchange_rate),
    path("status/<int:code>/", views.status),
    path("slow_report/", views.slow_report),
]
